"""A look for drift: the columns of a window against the reference, a feature at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from engine.tasks.drift.compare import Comparison, KindChangedError, compare_feature
from engine.tasks.drift.report import PREDICTION, write_report
from engine.tasks.drift.verdict import Thresholds, judge
from engine.tasks.feature_columns import Kind
from engine.tasks.reference import Reference

SCORE_COLUMN: Final = "__score"
"""Of the window: what was predicted; null where nothing was."""
ANSWER_COLUMN: Final = "__answer"
"""Of the window: the class that was predicted; null where nothing was."""


class NothingToCompareError(Exception):
    """No feature of the window is in the reference as it was."""


def check_drift(
    window: pa.Table,
    features: Sequence[str],
    reference: Reference,
    thresholds: Thresholds,
    advance: Callable[[str], None],
) -> dict[str, Any]:
    """Return the result of a check, as `write_report` makes it.

    A column is read once, as a whole, and nothing of it is kept.

    Args:
      window: a column a feature; perhaps `SCORE_COLUMN` and `ANSWER_COLUMN`, of which the one is
        compared that the reference has: the score, or of more than two classes the class. At least
        one row.
      features: those to compare. One that the window or the reference does not have, or that was
        of another kind, is reported as not compared.
      advance: is called with a feature's name before it is compared.
    Raises:
      NothingToCompareError: that goes for all of them.
    """
    compared: list[Comparison] = []
    not_compared: dict[str, str] = {}
    for name in features:
        advance(name)
        known = reference.features.get(name)
        if known is None:
            not_compared[name] = "no_reference"
        elif name not in window.column_names:
            not_compared[name] = "not_in_window"
        else:
            try:
                compared.append(compare_feature(name, window[name], known, reference.rows))
            except KindChangedError:
                not_compared[name] = "kind_changed"
    if not compared:
        raise NothingToCompareError(_describe(not_compared))
    prediction = None
    if reference.prediction is not None:
        known = reference.prediction
        column = ANSWER_COLUMN if known.kind is Kind.CATEGORICAL else SCORE_COLUMN
        if column in window.column_names:
            advance(PREDICTION)
            predicted = window[column].drop_null()
            if len(predicted):
                prediction = compare_feature(PREDICTION, predicted, known, known.count)
    judgement = judge(compared, prediction, thresholds)
    return write_report(judgement, window.num_rows, reference.rows, not_compared)


def _describe(not_compared: Mapping[str, str]) -> str:
    named = ", ".join(f"{name} ({why})" for name, why in list(not_compared.items())[:10])
    return f"no feature can be compared with the training: {named or 'there is none'}"
