"""What becomes of a message whose task failed: the rules of one task."""

from __future__ import annotations

from typing import Any

import pytest
from pyqs import Discard, Retry, task
from pyqs._policy import Decision, Policy
from pyqs.errors import SettingsInvalid

STAYS = Decision("failed")


def decide(error: BaseException, attempt: int = 1, **rules: Any) -> Decision:
    return Policy(**rules).checked().decide(error, attempt)


def test_without_rules_a_message_is_left_to_its_visibility_timeout() -> None:
    assert decide(ValueError()) == STAYS
    assert decide(SystemExit(), attempt=9) == STAYS


def test_retries_are_runs_after_the_first_and_the_last_backoff_repeats() -> None:
    rules = {"retries": 4, "backoff": [0, 1, 5]}
    delays = [decide(ValueError(), attempt, **rules).delay_seconds for attempt in (1, 2, 3, 4)]
    assert delays == [0, 1, 5, 5]
    assert decide(ValueError(), 5, **rules) == Decision("exhausted")
    assert decide(ValueError(), 5, **rules, dead_letter="dead") == Decision("dead_letter", queue="dead")
    assert decide(ValueError(), 1, retries=0) == Decision("exhausted")


def test_a_number_is_the_base_of_an_exponential_in_whole_seconds() -> None:
    for attempt, longest in ((1, 10), (2, 20), (4, 80), (99, 900)):
        seconds = decide(ValueError(), attempt, retries=99, backoff=10).delay_seconds
        assert longest / 2 <= seconds <= longest
    assert decide(ValueError(), retries=1, backoff=[0.2]).delay_seconds == 1


def test_a_function_gets_the_number_of_the_retry() -> None:
    assert decide(ValueError(), 3, retries=5, backoff=lambda number: number * 7) == Decision("retry", 21)
    with pytest.raises(SettingsInvalid, match="what backoff= returned is -3"):
        decide(ValueError(), retries=1, backoff=lambda number: -3)


def test_the_kind_of_exception_decides() -> None:
    rules = {"retries": 3, "retry_on": (OSError, KeyError), "discard_on": EOFError, "backoff": [2]}
    assert decide(ConnectionError(), **rules) == Decision("retry", 2)
    assert decide(ValueError(), **rules) == Decision("exhausted")
    assert decide(EOFError(), **rules) == Decision("discarded")
    dead = {"dead_letter_on": ValueError, "dead_letter": "dead"}
    assert decide(ValueError(), **rules, **dead) == Decision("dead_letter", queue="dead")
    assert decide(TypeError(), **dead) == STAYS


def test_a_death_is_retried_whatever_the_rules_say_of_exceptions() -> None:
    rules: dict[str, Any] = {"retries": 2, "backoff": [3, 9], "retry_on": OSError, "discard_on": ValueError}
    assert Policy().decide_death(1) == STAYS
    assert Policy(dead_letter_on=OSError, dead_letter="dead").decide_death(1) == STAYS
    assert [Policy(**rules).decide_death(run) for run in (1, 2)] == [Decision("retry", 3), Decision("retry", 9)]
    assert Policy(**rules).decide_death(3) == Decision("exhausted")
    assert Policy(**rules, dead_letter="dead").decide_death(3) == Decision("dead_letter", queue="dead")


def test_the_task_may_say_it_itself() -> None:
    assert decide(Discard("gone")) == Decision("discarded")
    assert decide(Retry(after=60), attempt=100) == Decision("retry", 60)
    assert decide(Retry(after=60), attempt=2, retries=1) == Decision("exhausted")
    assert decide(Retry(), retries=1, backoff=[7], retry_on=OSError) == Decision("retry", 7)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"retries": -1}, "retries=-1; give a whole number"),
        ({"retries": True}, "retries=True"),
        ({"retries": 1, "backoff": "5"}, "backoff='5'; give seconds"),
        ({"retries": 1, "backoff": []}, r"backoff=\[\]; give seconds"),
        ({"retries": 1, "backoff": [1, -1]}, "backoff= is -1"),
        ({"retries": 1, "backoff": float("nan")}, "backoff= is nan"),
        ({"backoff": 1}, "need retries="),
        ({"retry_on": OSError}, "need retries="),
        ({"discard_on": "OSError"}, "discard_on='OSError'; give an exception class"),
        ({"dead_letter": "dead"}, "dead_letter= needs retries="),
        ({"dead_letter_on": OSError}, "dead_letter_on= needs dead_letter="),
        ({"retries": 1, "dead_letter": ""}, "dead_letter=''; give a queue's name"),
    ],
)
def test_wrong_rules_are_refused_where_they_are_declared(rules: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        task(queue="email", **rules)


def test_a_wrong_delay_of_a_retry_is_refused() -> None:
    for after in (-1, float("inf"), "5"):
        with pytest.raises(SettingsInvalid, match=r"Retry\(after=...\) is"):
            Retry(after=after)  # type: ignore[arg-type]
