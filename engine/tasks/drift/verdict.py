"""What scores mean: which features have drifted, why, and whether the model's input has. Pure."""

import enum
from collections.abc import Sequence
from typing import Final

import attrs

from engine.tasks.drift.compare import Comparison
from engine.tasks.drift.correction import holm
from engine.tasks.feature_columns import Kind

_LEAST_THRESHOLD: Final = 1e-6
"""Stands for a threshold of 0 where scores are set against it."""


class Reason(enum.StrEnum):
    """By what a feature has drifted."""

    PSI = "psi"
    KS = "ks"
    CHI_SQUARED = "chi_squared"
    MISSING_RATE = "missing_rate"
    NEW_CATEGORIES = "new_categories"


class Verdict(enum.StrEnum):
    """Whether a model still sees what it was trained on."""

    STABLE = "STABLE"
    DRIFTED = "DRIFTED"


@attrs.frozen
class Thresholds:
    """From where on scores count."""

    psi: float
    ks_statistic: float
    """Of numbers the Kolmogorov-Smirnov distance, of categories the total variation: both are the
    largest difference in the probability of something."""
    missing_rate: float
    """Rise of the share of missing values; also the share of values in new categories, which say as
    little to the model as missing ones."""
    alpha: float
    """Chance must explain what is seen with less probability, corrected for all features."""
    share: float
    """Of the features that must have drifted."""


@attrs.frozen
class Judged:
    """A feature's scores and what they mean.

    `severity` is the largest of its scores in units of their thresholds, by which features are
    ordered; it takes no account of significance.
    """

    comparison: Comparison
    adjusted_p_value: float | None
    adjusted_missing_p_value: float | None
    """None of predictions, of which none is missing."""
    reasons: tuple[Reason, ...]
    severity: float

    @property
    def drifted(self) -> bool:
        """Whether there is any reason."""
        return bool(self.reasons)


@attrs.frozen
class Judgement:
    """What came of a check. `features` are in the order they were given."""

    verdict: Verdict
    features: tuple[Judged, ...]
    prediction: Judged | None

    @property
    def drifted(self) -> int:
        """How many features have drifted, without the prediction."""
        return sum(judged.drifted for judged in self.features)


def judge(
    features: Sequence[Comparison], prediction: Comparison | None, thresholds: Thresholds
) -> Judgement:
    """Return which features have drifted, and whether that makes the model's input drifted.

    A feature has drifted if its distribution has moved by as much as a threshold and chance does
    not explain it (both, since of many rows even a trifle is significant, and of few rows even the
    same distribution looks moved), if values are missing more often by as much as the threshold
    (again, and not by chance), or if as many are in categories that training had not seen. The
    input has drifted if at least `thresholds.share` of its features have, and at least one, or if
    the predictions have.

    The p-values of the distributions, the prediction's with them, are corrected as one family by
    Holm's method, those of missing values as another.
    """
    compared = [*features, *([] if prediction is None else [prediction])]
    tested = [place for place, one in enumerate(compared) if one.p_value is not None]
    corrected = holm([one.p_value for one in compared if one.p_value is not None])
    adjusted = dict(zip(tested, corrected, strict=True))
    missing = holm([one.missing_p_value for one in features])
    missing_of = dict(enumerate(missing))
    judged = [
        Judged(
            one,
            adjusted.get(place),
            missing_of.get(place),
            tuple(_reasons(one, adjusted.get(place, 1.0), missing_of.get(place, 1.0), thresholds)),
            _severity(one, thresholds),
        )
        for place, one in enumerate(compared)
    ]
    of_features = tuple(judged[: len(features)])
    of_prediction = judged[-1] if prediction is not None else None
    drifted = sum(one.drifted for one in of_features)
    enough = drifted > 0 and drifted / len(of_features) >= thresholds.share
    by_prediction = of_prediction is not None and of_prediction.drifted
    verdict = Verdict.DRIFTED if enough or by_prediction else Verdict.STABLE
    return Judgement(verdict, of_features, of_prediction)


def _reasons(
    one: Comparison, p_value: float, missing_p_value: float, thresholds: Thresholds
) -> list[Reason]:
    reasons = []
    if p_value < thresholds.alpha:
        if one.psi is not None and one.psi >= thresholds.psi:
            reasons.append(Reason.PSI)
        if _distance(one) >= thresholds.ks_statistic:
            reasons.append(Reason.KS if one.kind is Kind.NUMERIC else Reason.CHI_SQUARED)
    rise = one.current_missing_rate - one.reference_missing_rate
    if rise >= thresholds.missing_rate and missing_p_value < thresholds.alpha:
        reasons.append(Reason.MISSING_RATE)
    if one.new_share > 0 and one.new_share >= thresholds.missing_rate:
        reasons.append(Reason.NEW_CATEGORIES)
    return reasons


def _severity(one: Comparison, thresholds: Thresholds) -> float:
    limit_missing = max(_LEAST_THRESHOLD, thresholds.missing_rate)
    return max(
        (one.psi or 0.0) / thresholds.psi,
        _distance(one) / max(_LEAST_THRESHOLD, thresholds.ks_statistic),
        (one.current_missing_rate - one.reference_missing_rate) / limit_missing,
        one.new_share / limit_missing,
    )


def _distance(one: Comparison) -> float:
    """Return the largest difference in probability, 0 if it was not taken."""
    if one.kind is Kind.NUMERIC:
        return 0.0 if one.ks is None else one.ks.value
    return one.total_variation or 0.0
