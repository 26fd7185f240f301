"""When a model is trained again, and which version answers."""

import attrs
import pytest

from engine.config import PolicySpec, Task
from engine.models.definitions import Measured
from engine.models.policy import (
    Cause,
    Role,
    TrainingHistory,
    decide_promotion,
    decide_rollback,
    is_due,
    metric_of,
    refuse_training,
)

SECOND = 1_000_000
POLICY = PolicySpec(cool_down=60, least_gain=0.01)


def measured(name: str, value: float) -> list[Measured]:
    return [Measured("other", 0.0, 0.0, 0.0), Measured(name, value, value - 0.1, value + 0.1)]


def test_versions_are_compared_by_the_metric_of_the_policy_or_of_the_task() -> None:
    assert metric_of(POLICY, Task.CLASSIFICATION) == "roc_auc"
    assert metric_of(POLICY, Task.REGRESSION) == "rmse"
    assert metric_of(PolicySpec(metric="f1"), Task.CLASSIFICATION) == "f1"


@pytest.mark.parametrize(
    ("metric", "new", "old", "role"),
    [
        ("roc_auc", 0.72, 0.70, Role.CHAMPION),
        ("roc_auc", 0.70, 0.70, Role.CHALLENGER),
        ("roc_auc", 0.705, 0.70, Role.CHALLENGER),
        ("roc_auc", 0.60, 0.70, Role.CHALLENGER),
        ("rmse", 1.0, 1.2, Role.CHAMPION),
        ("rmse", 1.195, 1.2, Role.CHALLENGER),
        ("rmse", 1.4, 1.2, Role.CHALLENGER),
    ],
)
def test_a_new_version_takes_over_only_when_it_is_better_by_the_least_gain(
    metric: str, new: float, old: float, role: Role
) -> None:
    promotion = decide_promotion(POLICY, metric, measured(metric, new), measured(metric, old))
    assert promotion.role is role
    assert f"{new:.4g} against {old:.4g}" in promotion.reason


@pytest.mark.parametrize(
    ("at_least", "role"),
    [(None, Role.CHAMPION), (0.7, Role.CHAMPION), (0.71, Role.CHALLENGER)],
)
def test_the_first_version_takes_over_when_it_reaches_the_bound(
    at_least: float | None, role: Role
) -> None:
    policy = attrs.evolve(POLICY, at_least=at_least)
    assert decide_promotion(policy, "roc_auc", measured("roc_auc", 0.7), None).role is role


def test_by_hand_means_that_a_better_version_waits() -> None:
    policy = attrs.evolve(POLICY, promote="manual")
    better = decide_promotion(policy, "r2", measured("r2", 0.9), measured("r2", 0.1))
    assert better == attrs.evolve(better, role=Role.CHALLENGER, reason="promotion is manual")


def test_a_version_that_cannot_be_measured_does_not_take_over() -> None:
    new = decide_promotion(POLICY, "f1", measured("r2", 0.9), measured("f1", 0.1))
    assert new.role is Role.CHALLENGER


def test_a_champion_that_cannot_be_measured_gives_way() -> None:
    new = decide_promotion(POLICY, "f1", measured("f1", 0.9), measured("r2", 0.1))
    assert new.role is Role.CHAMPION


@pytest.mark.parametrize("cause", list(Cause))
def test_one_training_at_a_time(cause: Cause) -> None:
    history = TrainingHistory(under_way=True, last_started_us=None)
    assert refuse_training(POLICY, cause, history, 0) == "a training is under way"


@pytest.mark.parametrize("cause", [Cause.DRIFT, Cause.SCHEDULE])
def test_trainings_that_nobody_called_for_keep_their_distance(cause: Cause) -> None:
    history = TrainingHistory(under_way=False, last_started_us=100 * SECOND)
    assert refuse_training(POLICY, cause, history, 159 * SECOND) == (
        "policy.cool_down lasts 1 s more"
    )
    assert refuse_training(POLICY, cause, history, 160 * SECOND) is None


@pytest.mark.parametrize("cause", [Cause.CALL, Cause.FIRST])
def test_a_call_and_a_first_training_do_not_wait(cause: Cause) -> None:
    history = TrainingHistory(under_way=False, last_started_us=100 * SECOND)
    assert refuse_training(POLICY, cause, history, 100 * SECOND) is None


def test_drift_starts_no_training_when_the_policy_says_so() -> None:
    policy = attrs.evolve(POLICY, on_drift=False)
    history = TrainingHistory(under_way=False, last_started_us=None)
    assert refuse_training(policy, Cause.DRIFT, history, 0) == "policy.on_drift is false"
    assert refuse_training(policy, Cause.SCHEDULE, history, 0) is None


def test_what_happens_every_so_often_is_due_when_its_time_has_passed() -> None:
    assert is_due(60, None, 0)
    assert not is_due(60, SECOND, 60 * SECOND)
    assert is_due(60, SECOND, 61 * SECOND)
    assert not is_due(None, None, 0)


@pytest.mark.parametrize(
    ("metric", "value", "outcomes", "rolls_back"),
    [
        ("roc_auc", 0.59, 200, True),
        ("roc_auc", 0.6, 200, False),
        ("roc_auc", 0.1, 199, False),
        ("rmse", 0.61, 200, True),
        ("rmse", 0.6, 200, False),
    ],
)
def test_a_champion_gives_way_when_enough_outcomes_are_past_the_bound(
    metric: str, value: float, outcomes: int, rolls_back: bool
) -> None:
    policy = attrs.evolve(POLICY, roll_back_below=0.6, least_outcomes=200)
    reason = decide_rollback(policy, metric, measured(metric, value), outcomes)
    assert (reason is not None) == rolls_back


def test_nothing_is_rolled_back_without_a_bound_or_a_measure() -> None:
    assert decide_rollback(POLICY, "r2", measured("r2", -9.0), 10_000) is None
    policy = attrs.evolve(POLICY, roll_back_below=0.5)
    assert decide_rollback(policy, "r2", measured("f1", 0.1), 10_000) is None
