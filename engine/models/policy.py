"""When a model is trained again, and which version answers. Pure: facts in, decisions out.

Times are ages in seconds, not moments: a clock that is set changes no decision. What metrics
measure is in `engine.tasks.training`; here only which of two values is better.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import attrs

from engine.config import PolicySpec, Task
from engine.models.definitions import Measured

LOWER_IS_BETTER: Final = frozenset({"log_loss", "brier", "rmse", "mae"})
_DEFAULT_METRIC: Final = {Task.CLASSIFICATION: "roc_auc", Task.REGRESSION: "rmse"}
_MOST_DOUBLINGS: Final = 5
"""Of the cool-down: after an hour, a day and a half at most."""


class Role(StrEnum):
    """What becomes of a new version."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


class Cause(StrEnum):
    """What called for a training."""

    CALL = "call"
    DRIFT = "drift"
    SCHEDULE = "schedule"
    FIRST = "first"
    REDEFINED = "redefined"
    """The champion cannot answer with the features as they are defined now."""


COOLING: Final = frozenset({Cause.DRIFT, Cause.SCHEDULE})
"""What has to keep its distance. A person knows what he does; where no version can answer, one is
worth trying for, at the scheduler's pace."""


@attrs.frozen
class Promotion:
    """What becomes of a new version, and why, in words for the model's log."""

    role: Role
    reason: str


def metric_of(policy: PolicySpec, task: Task) -> str:
    """Return the metric that versions are compared by."""
    return policy.metric or _DEFAULT_METRIC[task]


def is_past(metric: str, value: float, bound: float) -> bool:
    """Return whether a value is worse than a bound."""
    return value > bound if metric in LOWER_IS_BETTER else value < bound


def decide_promotion(
    policy: PolicySpec,
    metric: str,
    challenger: Sequence[Measured],
    champion: Sequence[Measured] | None,
) -> Promotion:
    """Return what becomes of a new version.

    Args:
      metric: the name of what counts.
      challenger: of the new version, on the rows it was judged by.
      champion: of the present champion on the same rows; None if there is no champion.
    """
    new = _find(challenger, metric)
    if new is None:
        return Promotion(Role.CHALLENGER, f"{metric} could not be measured")
    if champion is not None and policy.promote == "manual":
        return Promotion(Role.CHALLENGER, "promotion is manual")
    old = None if champion is None else _find(champion, metric)
    if old is None:
        # There is nothing to be better than, which does not make it good.
        bound = policy.at_least
        if bound is not None and is_past(metric, new, bound):
            return Promotion(
                Role.CHALLENGER, f"{metric} {new:.4g} does not reach at_least {bound:g}"
            )
        if champion is None:
            return Promotion(Role.CHAMPION, f"the first version, {metric} {new:.4g}")
        return Promotion(Role.CHAMPION, f"{metric} {new:.4g}; the champion's cannot be measured")
    gain = old - new if metric in LOWER_IS_BETTER else new - old
    compared = f"{metric} {new:.4g} against {old:.4g}"
    if gain > policy.least_gain:
        return Promotion(Role.CHAMPION, f"better: {compared}")
    wanted = f", a gain of more than {policy.least_gain:g} is wanted"
    return Promotion(Role.CHALLENGER, f"not better: {compared}{wanted}")


@attrs.frozen
class TrainingHistory:
    """What the decision to train knows of the trainings so far."""

    under_way: bool
    rested_s: float | None = None
    """Since the last one that cools down was started; None if there was none."""
    uncured: int = 0
    """Trainings that drift has called for since a look last found none."""


def refuse_training(policy: PolicySpec, cause: Cause, history: TrainingHistory) -> str | None:
    """Return why no training is to start now, None if one is.

    Drift that trainings do not cure has the cool-down double with each of them from the second on:
    what the model sees has changed in a way that these data, features or thresholds cannot follow.
    The first may have been too early, when most of its rows lay before the change.
    """
    if history.under_way:
        return "a training is under way"
    if cause is Cause.DRIFT and not policy.on_drift:
        return "policy.on_drift is false"
    if cause not in COOLING or history.rested_s is None:
        return None
    doublings = min(_MOST_DOUBLINGS, max(0, history.uncured - 1)) if cause is Cause.DRIFT else 0
    wait_s = policy.cool_down * 2**doublings
    rest_s = wait_s - history.rested_s
    if rest_s <= 0:
        return None
    why = (
        f": it is {wait_s:.0f} s after {history.uncured} trainings that have not cured the drift"
        if doublings
        else ""
    )
    return f"policy.cool_down lasts {rest_s:.0f} s more{why}"


def is_due(every_s: float | None, since_s: float | None) -> bool:
    """Return whether something that happens every so often is due; at once if it never was.

    Args:
      since_s: since it last happened.
    """
    return every_s is not None and (since_s is None or since_s >= every_s)


def decide_rollback(
    policy: PolicySpec, metric: str, live: Sequence[Measured], outcomes: int
) -> str | None:
    """Return why the champion is to give way to the one before, None if it is not.

    Args:
      live: what its predictions turned out to be worth.
      outcomes: on how many predictions that rests.
    """
    bound = policy.roll_back_below
    if bound is None or outcomes < policy.least_outcomes:
        return None
    value = _find(live, metric)
    if value is None or not is_past(metric, value, bound):
        return None
    return f"live {metric} {value:.4g} of {outcomes} outcomes is past roll_back_below {bound:g}"


def _find(measured: Sequence[Measured], metric: str) -> float | None:
    """Return a metric's value; None if it was not measured, or is no number to compare with."""
    value = next((one.value for one in measured if one.name == metric), math.nan)
    return value if math.isfinite(value) else None
