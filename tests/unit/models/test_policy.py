"""When a model is trained again, and which version answers."""

import math

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


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("old", [None, 0.7])
def test_a_value_that_is_no_number_makes_no_champion(value: float, old: float | None) -> None:
    of_champion = None if old is None else measured("roc_auc", old)
    new = decide_promotion(POLICY, "roc_auc", measured("roc_auc", value), of_champion)
    assert new == attrs.evolve(new, role=Role.CHALLENGER, reason="roc_auc could not be measured")
    kept = decide_promotion(POLICY, "roc_auc", measured("roc_auc", 0.7), measured("roc_auc", value))
    assert kept.role is Role.CHAMPION


@pytest.mark.parametrize("old", [[], measured("other", 0.9), measured("roc_auc", math.nan)])
def test_beside_a_champion_that_cannot_be_measured_a_version_must_reach_the_bound(
    old: list[Measured],
) -> None:
    policy = attrs.evolve(POLICY, at_least=0.75)
    short = decide_promotion(policy, "roc_auc", measured("roc_auc", 0.7), old)
    assert short.role is Role.CHALLENGER
    assert "does not reach at_least 0.75" in short.reason
    assert decide_promotion(policy, "roc_auc", measured("roc_auc", 0.8), old).role is Role.CHAMPION


@pytest.mark.parametrize("cause", list(Cause))
def test_one_training_at_a_time(cause: Cause) -> None:
    history = TrainingHistory(under_way=True)
    assert refuse_training(POLICY, cause, history) == "a training is under way"


@pytest.mark.parametrize("cause", [Cause.DRIFT, Cause.SCHEDULE])
def test_trainings_that_nobody_called_for_keep_their_distance(cause: Cause) -> None:
    history = TrainingHistory(under_way=False, rested_s=59)
    assert refuse_training(POLICY, cause, history) == "policy.cool_down lasts 1 s more"
    assert refuse_training(POLICY, cause, attrs.evolve(history, rested_s=60)) is None


@pytest.mark.parametrize("cause", [Cause.CALL, Cause.FIRST])
def test_a_call_and_a_first_training_do_not_wait(cause: Cause) -> None:
    history = TrainingHistory(under_way=False, rested_s=0, uncured=9)
    assert refuse_training(POLICY, cause, history) is None


@pytest.mark.parametrize(
    ("uncured", "wait_s"), [(0, 60), (1, 60), (2, 120), (3, 240), (6, 1920), (7, 1920), (99, 1920)]
)
def test_drift_that_trainings_do_not_cure_has_fewer_and_fewer_of_them(
    uncured: int, wait_s: int
) -> None:
    history = TrainingHistory(under_way=False, rested_s=wait_s - 1, uncured=uncured)
    refusal = refuse_training(POLICY, Cause.DRIFT, history)
    assert refusal is not None
    assert refusal.startswith("policy.cool_down lasts 1 s more")
    assert (f"{wait_s} s after {uncured} trainings" in refusal) is (uncured > 1)
    assert refuse_training(POLICY, Cause.DRIFT, attrs.evolve(history, rested_s=wait_s)) is None


def test_the_schedule_does_not_wait_for_drift_to_be_cured() -> None:
    history = TrainingHistory(under_way=False, rested_s=60, uncured=99)
    assert refuse_training(POLICY, Cause.SCHEDULE, history) is None


def test_drift_starts_no_training_when_the_policy_says_so() -> None:
    policy = attrs.evolve(POLICY, on_drift=False)
    history = TrainingHistory(under_way=False)
    assert refuse_training(policy, Cause.DRIFT, history) == "policy.on_drift is false"
    assert refuse_training(policy, Cause.SCHEDULE, history) is None


def test_what_happens_every_so_often_is_due_when_its_time_has_passed() -> None:
    assert is_due(60, None)
    assert not is_due(60, 59)
    assert is_due(60, 60)
    assert not is_due(None, None)


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
    assert decide_rollback(policy, "r2", measured("r2", -math.inf), 10_000) is None
