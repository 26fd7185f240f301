"""Metrics equal scikit-learn's, for any weights, and their intervals hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from engine.config import Task
from engine.tasks.artifacts import Predictions
from engine.tasks.training.bootstrap import measure
from engine.tasks.training.calibration import describe_calibration
from engine.tasks.training.metrics import prepare_metrics

CLASSES = ("a", "b", "c")


def nothing() -> None:
    return


def binary(score: np.ndarray) -> Predictions:
    return Predictions(score, np.column_stack([1 - score, score]), (False, True))


@st.composite
def judged_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, score and weights; scores often tie, weights are those of a resample."""
    rows = draw(st.integers(4, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grain = draw(st.sampled_from([2, 5, 1_000]))
    truth = random.random(rows) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    score = np.clip((random.integers(0, grain, rows) + truth * grain / 3) / (grain * 4 / 3), 0, 1)
    weights = random.integers(0, 4, rows).astype(float)
    weights[:2] = 1
    truth[:2] = [True, False]
    return truth, score, weights


@settings(max_examples=150, deadline=None)
@given(judged_rows())
def test_metrics_of_two_classes_are_those_of_scikit_learn(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    truth, score, weights = rows
    found = prepare_metrics(Task.CLASSIFICATION, truth, binary(score))
    values = {name: metric(weights) for name, metric in found.items()}
    answer = score > 0.5
    assert values == pytest.approx(
        {
            "roc_auc": reference.roc_auc_score(truth, score, sample_weight=weights),
            "average_precision": reference.average_precision_score(
                truth, score, sample_weight=weights
            ),
            "log_loss": reference.log_loss(truth, score, sample_weight=weights),
            "brier": reference.brier_score_loss(truth, score, sample_weight=weights),
            "accuracy": reference.accuracy_score(truth, answer, sample_weight=weights),
            "f1": reference.f1_score(truth, answer, sample_weight=weights, zero_division=0),
        },
        abs=1e-9,
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_metrics_of_more_classes_are_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.array([*CLASSES, *random.choice(CLASSES, 40)])
    probabilities = random.dirichlet([1, 1, 1], len(truth))
    found = prepare_metrics(
        Task.CLASSIFICATION,
        truth,
        Predictions(probabilities.max(axis=1), probabilities, CLASSES),
    )
    values = {name: metric(np.ones(len(truth))) for name, metric in found.items()}
    answer = np.array(CLASSES)[probabilities.argmax(axis=1)]
    ideal = (truth[:, None] == np.array(CLASSES)).astype(float)
    assert values == pytest.approx(
        {
            "roc_auc": reference.roc_auc_score(truth, probabilities, multi_class="ovr"),
            "average_precision": reference.average_precision_score(ideal, probabilities),
            "log_loss": reference.log_loss(truth, probabilities),
            "brier": reference.brier_score_loss(truth, probabilities),
            "accuracy": reference.accuracy_score(truth, answer),
            "f1": reference.f1_score(truth, answer, average="macro"),
        },
        abs=1e-9,
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_metrics_of_numbers_are_those_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.normal(5, 3, 40)
    guess = truth + random.normal(size=40)
    weights = random.integers(0, 4, 40).astype(float)
    found = prepare_metrics(Task.REGRESSION, truth, Predictions(guess))
    assert {name: metric(weights) for name, metric in found.items()} == pytest.approx(
        {
            "r2": reference.r2_score(truth, guess, sample_weight=weights),
            "rmse": reference.root_mean_squared_error(truth, guess, sample_weight=weights),
            "mae": reference.mean_absolute_error(truth, guess, sample_weight=weights),
        }
    )


def test_a_class_that_the_model_does_not_know_counts_against_it() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    found = Predictions(probabilities[:, 1], probabilities, ("a", "b"))
    known = prepare_metrics(
        Task.CLASSIFICATION,
        np.array(["a", "b"]),
        Predictions(probabilities[:2, 1], probabilities[:2], ("a", "b")),
    )
    with_new = prepare_metrics(Task.CLASSIFICATION, np.array(["a", "b", "new"]), found)
    assert known["accuracy"](np.ones(2)) == 1
    assert with_new["accuracy"](np.ones(3)) == pytest.approx(2 / 3)
    assert with_new["log_loss"](np.ones(3)) > 10


def test_what_one_class_does_not_define_is_not_measured() -> None:
    truth = np.ones(20, np.bool_)
    metrics = prepare_metrics(Task.CLASSIFICATION, truth, binary(np.linspace(0.1, 0.9, 20)))
    names = {one.name for one in measure(metrics, np.arange(20), 1, nothing)}
    assert "roc_auc" not in names
    assert "log_loss" in names


def test_intervals_hold_the_true_value_as_often_as_they_say() -> None:
    random = np.random.default_rng(5)
    held = 0
    rounds = 150
    for number in range(rounds):
        truth = random.random(150) < 0.5
        guess = np.where(random.random(150) < 0.7, truth, ~truth)
        metrics = prepare_metrics(Task.CLASSIFICATION, truth, binary(guess.astype(float)))
        accuracy = {"accuracy": metrics["accuracy"]}
        [found] = measure(accuracy, np.arange(150), number, nothing)
        held += found.low <= 0.7 <= found.high
    assert 0.89 <= held / rounds <= 0.99


def test_rows_of_one_entity_are_no_independent_evidence() -> None:
    random = np.random.default_rng(6)
    truth = np.repeat(random.random(60) < 0.5, 50)
    guess = np.repeat(np.where(random.random(60) < 0.7, truth[::50], ~truth[::50]), 50)
    metrics = prepare_metrics(Task.CLASSIFICATION, truth, binary(guess.astype(float)))
    accuracy = {"accuracy": metrics["accuracy"]}
    [together] = measure(accuracy, np.repeat(np.arange(60), 50), 1, nothing)
    [apart] = measure(accuracy, np.arange(3_000), 1, nothing)
    assert together.high - together.low > 5 * (apart.high - apart.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    random = np.random.default_rng(7)
    metrics = prepare_metrics(Task.REGRESSION, random.normal(size=90), Predictions(np.zeros(90)))
    keys = np.arange(90) // 2
    assert measure(metrics, keys, 3, nothing) == measure(metrics, keys, 3, nothing)
    assert measure(metrics, keys, 3, nothing) != measure(metrics, keys, 4, nothing)


def test_resampling_can_be_ended_at_any_step() -> None:
    metrics = prepare_metrics(Task.REGRESSION, np.arange(9.0), Predictions(np.zeros(9)))

    def end() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(metrics, np.arange(9), 1, end)


def test_calibration_tells_honest_probabilities_from_boasting() -> None:
    random = np.random.default_rng(8)
    chance = random.random(20_000)
    truth = random.random(20_000) < chance
    honest = describe_calibration(truth, chance)
    boasting = describe_calibration(truth, np.clip((chance - 0.5) * 3 + 0.5, 0, 1))
    assert honest["expected_error"] < 0.02
    assert boasting["expected_error"] > 0.1
    assert sum(one["rows"] for one in honest["bins"]) == 20_000
    assert [one["from"] for one in honest["bins"]] == [place / 10 for place in range(10)]
    for one in honest["bins"]:
        assert one["from"] <= one["mean_probability"] <= one["to"]


def test_a_probability_of_one_lies_in_the_last_bin() -> None:
    described = describe_calibration(np.array([True]), np.array([1.0]))
    [last] = described["bins"]
    assert (last["from"], last["rows"], last["share"]) == (0.9, 1, 1.0)
