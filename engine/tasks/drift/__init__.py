"""Drift: how far a window's rows are from those a model was trained on."""

from engine.tasks.drift.check import ANSWER_COLUMN, SCORE_COLUMN, NothingToCompareError, check_drift
from engine.tasks.drift.compare import Comparison, KindChangedError, compare_feature
from engine.tasks.drift.report import PREDICTION, write_report
from engine.tasks.drift.verdict import Judged, Judgement, Reason, Thresholds, Verdict, judge

__all__ = [
    "ANSWER_COLUMN",
    "PREDICTION",
    "SCORE_COLUMN",
    "Comparison",
    "Judged",
    "Judgement",
    "KindChangedError",
    "NothingToCompareError",
    "Reason",
    "Thresholds",
    "Verdict",
    "check_drift",
    "compare_feature",
    "judge",
    "write_report",
]
