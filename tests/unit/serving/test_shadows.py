"""Challengers beside champions: what is wrong with one is nothing to the other's callers."""

from types import SimpleNamespace
from typing import Any

from engine import metrics
from engine.clock import read_clock_us
from engine.errors import FailedPreconditionError
from engine.models import CHALLENGER, CHAMPION
from engine.serving.plans import Plan
from engine.serving.prediction_log import Record
from engine.serving.rows import Score
from engine.serving.shadows import Shadows

MODEL: Any = SimpleNamespace(aliases={CHAMPION: 2, CHALLENGER: 3}, find=lambda version: version)
CHAMPIONS: Any = SimpleNamespace(version=SimpleNamespace(version=2, features=("x",)))
RECORD = Record("P", 1, "m", 2, 1, 1, 1, (1,), "P", Score("", 1.0, (), ()), False, "")


class PlansOfNone:
    """As when a feature of the challenger is not defined any more."""

    def get(self, version: object) -> Plan:
        raise FailedPreconditionError(f"version {version} needs features that are gone")


def test_a_challenger_that_cannot_be_asked_is_passed_over() -> None:
    nobody: Any = None
    plans: Any = PlansOfNone()
    skipped = metrics.SHADOWS_SKIPPED.labels("failed")
    before = skipped._value.get()
    Shadows(plans, nobody, nobody, read_clock_us).ask(MODEL, CHAMPIONS, RECORD)
    assert skipped._value.get() == before + 1
