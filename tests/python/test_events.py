"""``pyqs.events``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyqs.events import NoEventException, clear_events, get_events, register_event


@pytest.fixture(autouse=True)
def _no_hooks() -> Iterator[None]:
    clear_events()
    yield
    clear_events()


def test_hooks_are_kept_in_order() -> None:
    register_event("pre_process", print)
    register_event("pre_process", repr)
    register_event("post_process", str)
    assert get_events().pre_process == [print, repr]
    assert get_events().post_process == [str]
    clear_events()
    assert get_events().pre_process == []
    assert get_events().post_process == []


@pytest.mark.parametrize("name", ["before", "clear", "__class__"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(NoEventException, match=f"^{name} is not a valid pyqs event.$"):
        register_event(name, print)
