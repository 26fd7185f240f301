"""A check's result as JSON: all that reports and their features are stored from."""

from collections.abc import Mapping
from typing import Any, Final

from engine.tasks.drift.bins import Bins, shorten
from engine.tasks.drift.verdict import Judged, Judgement
from engine.tasks.feature_columns import Kind

PREDICTION: Final = "(prediction)"
"""Stands for a feature's name; no feature has parentheses in its."""

MAX_NEW_CATEGORIES: Final = 20


def write_report(
    judgement: Judgement, rows: int, reference_rows: int, not_compared: Mapping[str, str]
) -> dict[str, Any]:
    """Return the result; below 1 MiB of JSON for 256 features.

    Args:
      rows: of the window.
      reference_rows: of the training set.
      not_compared: features that could not be, with why.
    """
    judged = [*judgement.features, *filter(None, [judgement.prediction])]
    judged.sort(key=lambda one: (not one.drifted, -one.severity, one.comparison.feature))
    return {
        "rows": rows,
        "reference_rows": reference_rows,
        "verdict": judgement.verdict.value,
        "features_checked": len(judgement.features),
        "features_drifted": judgement.drifted,
        "prediction_drifted": judgement.prediction is not None and judgement.prediction.drifted,
        "not_compared": dict(not_compared),
        "features": [_write_feature(one) for one in judged],
    }


def _write_feature(judged: Judged) -> dict[str, Any]:
    one = judged.comparison
    new = [shorten(category) for category in one.new_categories[:MAX_NEW_CATEGORIES]]
    return {
        "feature": one.feature,
        "kind": one.kind.value,
        "reference_rows": one.reference_rows,
        "current_rows": one.current_rows,
        "psi": one.psi,
        "ks_statistic": None if one.ks is None else one.ks.value,
        "ks_p_value": None if one.ks is None else one.ks.p_value,
        "chi_squared": None if one.chi_squared is None else one.chi_squared.value,
        "chi_squared_p_value": None if one.chi_squared is None else one.chi_squared.p_value,
        "adjusted_p_value": judged.adjusted_p_value,
        "missing_p_value": (
            None if judged.adjusted_missing_p_value is None else one.missing_p_value
        ),
        "adjusted_missing_p_value": judged.adjusted_missing_p_value,
        "wasserstein": one.wasserstein,
        "reference_missing_rate": one.reference_missing_rate,
        "current_missing_rate": one.current_missing_rate,
        "new_categories": new,
        "drifted": judged.drifted,
        "reasons": [reason.value for reason in judged.reasons],
        "reference": _write_bins(one.kind, one.reference_bins),
        "current": _write_bins(one.kind, one.current_bins),
    }


def _write_bins(kind: Kind, bins: Bins) -> dict[str, Any]:
    shares = list(bins.shares)
    if kind is Kind.CATEGORICAL:
        return {"categories": list(bins.categories), "shares": shares}
    return {"edges": list(bins.edges), "shares": shares}
