"""``./manage.py test``: tasks run in the test, through the same encoding as on their way to a worker."""

from django.test import TestCase, TransactionTestCase
from pyqs.testing import eager

from .models import Order
from .tasks import confirm, reserve


class ReserveTest(TestCase):
    def setUp(self):
        self.order = Order.objects.create(item="a book")

    def test_it_sees_the_tests_transaction(self):
        with eager():
            reserve.delay(self.order.pk)
        self.order.refresh_from_db()
        assert self.order.is_reserved

    def test_on_commit(self):
        with eager(), self.captureOnCommitCallbacks(execute=True):
            reserve.delay_on_commit(self.order.pk)
            self.order.refresh_from_db()
            assert not self.order.is_reserved
        self.order.refresh_from_db()
        assert self.order.is_reserved


class ConfirmTest(TransactionTestCase):
    # An `async def` task has connections of its own, which do not see a TestCase's transaction.
    def test_it(self):
        order = Order.objects.create(item="a book")
        with eager():
            confirm.enqueue(order.pk)
        order.refresh_from_db()
        assert order.is_confirmed
