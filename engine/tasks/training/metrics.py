"""What predictions are worth, as scikit-learn measures it, for rows of any weight.

Each metric is prepared once for some rows and then a function of their weights, so that a
thousand resamples of them cost a thousand sums and not a thousand sorts.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.config import Task
from engine.tasks.artifacts import Predictions

Weights = NDArray[np.float64]
Metric = Callable[[Weights], float]
"""NaN where it is not defined, as the area under a curve is for rows of one class."""

LOWER_IS_BETTER: Final = frozenset({"log_loss", "brier", "rmse", "mae"})
_LEAST_PROBABILITY: Final = float(np.finfo(np.float64).eps)


def prepare_metrics(task: Task, labels: NDArray[Any], found: Predictions) -> Mapping[str, Metric]:
    """Return the metrics of a task by name.

    With more than two classes, roc_auc (one against the rest), average_precision and f1 are means
    over the classes that occur, and brier is the sum over them.

    Args:
      labels: of the rows; a class that the model does not know counts against it.
    """
    if task is Task.REGRESSION:
        return _of_numbers(labels, found.score)
    assert found.probabilities is not None
    assert found.classes is not None
    if len(found.classes) == 2 and set(np.unique(labels).tolist()) <= set(found.classes):
        return _of_two_classes(labels == found.classes[1], found.score)
    return _of_classes(labels, found)


def _of_two_classes(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> Mapping[str, Metric]:
    predicted = score > 0.5
    likelihood = np.where(truth, score, 1 - score)
    return {
        "roc_auc": _roc_auc(truth, score),
        "average_precision": _average_precision(truth, score),
        "log_loss": _mean(_surprise(likelihood)),
        "brier": _mean((score - truth) ** 2),
        "accuracy": _mean(predicted == truth),
        "f1": _f1(truth, predicted),
    }


def _of_classes(labels: NDArray[Any], found: Predictions) -> Mapping[str, Metric]:
    assert found.probabilities is not None
    assert found.classes is not None
    place_of = {label: place for place, label in enumerate(found.classes)}
    unknown = sorted(set(np.unique(labels).tolist()) - place_of.keys())
    place_of |= {label: place for place, label in enumerate(unknown, start=len(place_of))}
    truth = np.array([place_of[label] for label in labels.tolist()], np.int64)
    probabilities = np.hstack([found.probabilities, np.zeros((len(truth), len(unknown)))])
    predicted = found.places
    occurring = np.unique(truth)
    chances = [(truth == place, probabilities[:, place]) for place in occurring]
    hits = [(truth == place, predicted == place) for place in np.union1d(occurring, predicted)]
    ideal = np.eye(probabilities.shape[1])[truth]
    return {
        "roc_auc": _average([_roc_auc(*pair) for pair in chances]),
        "average_precision": _average([_average_precision(*pair) for pair in chances]),
        "log_loss": _mean(_surprise(probabilities[np.arange(len(truth)), truth])),
        "brier": _mean(((probabilities - ideal) ** 2).sum(axis=1)),
        "accuracy": _mean(predicted == truth),
        "f1": _average([_f1(*pair) for pair in hits]),
    }


def _of_numbers(truth: NDArray[np.float64], found: NDArray[np.float64]) -> Mapping[str, Metric]:
    squares = (truth - found) ** 2

    def r2(weights: Weights) -> float:
        mean = np.average(truth, weights=weights)
        spread = float(weights @ (truth - mean) ** 2)
        return 1 - float(weights @ squares) / spread if spread > 0 else float("nan")

    mean_square = _mean(squares)
    return {
        "r2": r2,
        "rmse": lambda weights: float(np.sqrt(mean_square(weights))),
        "mae": _mean(np.abs(truth - found)),
    }


def _surprise(likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log(np.clip(likelihood, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY))


def _mean(values: NDArray[Any]) -> Metric:
    taken = values.astype(np.float64)
    return lambda weights: float(weights @ taken / weights.sum())


def _average(metrics: list[Metric]) -> Metric:
    def average(weights: Weights) -> float:
        values = np.array([metric(weights) for metric in metrics])
        defined = values[~np.isnan(values)]
        return float(defined.mean()) if len(defined) else float("nan")

    return average


def _f1(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Metric:
    both = (truth & predicted).astype(np.float64)
    either = truth.astype(np.float64) + predicted

    def f1(weights: Weights) -> float:
        whole = float(weights @ either)
        return 2 * float(weights @ both) / whole if whole > 0 else 0.0

    return f1


class _Ranking:
    """Rows by falling score; those of one score count together, for no order is theirs."""

    def __init__(self, truth: NDArray[np.bool_], score: NDArray[np.float64]) -> None:
        self._order = np.argsort(-score, kind="stable")
        ordered = score[self._order]
        begins = np.r_[True, ordered[1:] != ordered[:-1]]
        self._begins = None if begins.all() else np.flatnonzero(begins)
        self._truth = truth[self._order].astype(np.float64)

    def weigh(self, weights: Weights) -> tuple[Weights, Weights]:
        """Return the weight of positive and of all rows with each score."""
        every = weights[self._order]
        positive = every * self._truth
        if self._begins is None:
            return positive, every
        return np.add.reduceat(positive, self._begins), np.add.reduceat(every, self._begins)


def _roc_auc(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> Metric:
    ranking = _Ranking(truth, score)

    def roc_auc(weights: Weights) -> float:
        positive, every = ranking.weigh(weights)
        negative = every - positive
        pairs = positive.sum() * negative.sum()
        if pairs <= 0:
            return float("nan")
        # Of each score: the negatives below it, and half of those beside it.
        below = negative.sum() - np.cumsum(negative) + negative / 2
        return float(positive @ below / pairs)

    return roc_auc


def _average_precision(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> Metric:
    ranking = _Ranking(truth, score)

    def average_precision(weights: Weights) -> float:
        positive, every = ranking.weigh(weights)
        whole = positive.sum()
        if whole <= 0:
            return float("nan")
        taken = np.cumsum(every)
        # Before the first weight there is nothing to be precise about, nor anything gained.
        precision = np.cumsum(positive) / np.where(taken > 0, taken, 1)
        return float(positive @ precision / whole)

    return average_precision
