"""Which signals stop the engine, and which renew its workers."""

import signal

import pytest

from engine.early_stop import SignalPlan, plan_signals

INTERRUPT, TERMINATE, HANGUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


@pytest.mark.parametrize(
    ("hangup_ignored", "has_terminal", "expected"),
    [
        (False, True, SignalPlan((INTERRUPT, TERMINATE, HANGUP), ())),
        (False, False, SignalPlan((INTERRUPT, TERMINATE), (HANGUP,))),
        (True, True, SignalPlan((INTERRUPT, TERMINATE), ())),
        (True, False, SignalPlan((INTERRUPT, TERMINATE), ())),
    ],
)
def test_a_hangup_means_what_the_start_says(
    hangup_ignored: bool, has_terminal: bool, expected: SignalPlan
) -> None:
    assert plan_signals(hangup_ignored=hangup_ignored, has_terminal=has_terminal) == expected
