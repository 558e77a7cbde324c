"""The same with unittest, or a Django ``TestCase``: the context managers are all there is to know."""

from __future__ import annotations

import unittest
from unittest import mock

import shop
from pyqs import testing


class BuyTest(unittest.TestCase):
    def setUp(self) -> None:
        # enterContext() does both lines from Python 3.11 on.
        eager = testing.eager()
        self.tasks = eager.__enter__()
        self.addCleanup(eager.__exit__, None, None, None)

    @mock.patch.object(shop, "deliver")
    def test_who_buys_gets_a_mail(self, deliver: mock.Mock) -> None:
        shop.buy(7, "ada@example.org")
        deliver.assert_called_once_with("ada@example.org", "Order 7 is paid")
        assert [run.outcome for run in self.tasks.runs] == ["succeeded"] * 2


if __name__ == "__main__":
    unittest.main()
