"""How good predictions turned out to be: those whose outcome is known, measured as in training.

The engine's process has no scikit-learn; these measures are the same by their definitions, which a
test compares. Intervals are by the percentile bootstrap (Efron & Tibshirani 1993, ch. 13).
"""

import sys
from collections.abc import Callable, Mapping
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import trio

from engine.config import LabelSpec, Task
from engine.features import HistoryReader
from engine.models.definitions import Measured
from engine.models.labels import History, fetch_outcomes
from engine.store.queries import load_queries

Floats = npt.NDArray[np.float64]

_QUERIES = load_queries("engine.models")
_MOST: Final = 50_000
"""Predictions that are measured; the latest say most about now."""
_RESAMPLES: Final = 100
_CLIP: Final = np.finfo(np.float64).eps
_HALF: Final = 0.5
_SECOND_US: Final = 1_000_000


@attrs.frozen
class Quality:
    """What became of a version's predictions."""

    predictions: int
    outcomes: int
    metrics: tuple[Measured, ...] = ()


async def fetch_quality(
    reader: HistoryReader,
    model: str,
    version: int,
    label: LabelSpec,
    task: Task,
    history: History,
    since_us: int = 0,
    *,
    timeout_s: float | None = None,
) -> Quality:
    """Compare a version's predictions with what came of them.

    Args:
      label: what was predicted; for one that is uploaded nothing is measured.
      history: outcomes from its begin to its end are known.
      since_us: of predictions from then on, microseconds UTC.
    Raises:
      DeadlineExceededError: a query took longer than `timeout_s`.
      StoreError: a query failed.
    Cancellation: the query is interrupted; a computation under way in a thread is awaited.
    """
    which = {"model": model, "version": version, "since_us": since_us}
    [(count,)] = await reader.fetch_rows(_QUERIES["count_predictions"], which, timeout_s=timeout_s)
    if label.dataset is not None or not count:
        return Quality(count, 0)
    last_us = history.end_us - label.within * _SECOND_US
    predicted = await reader.fetch_arrow(
        _QUERIES["predictions_with_outcome"],
        {
            **which,
            "begin_us": history.begin_us,
            "last_us": max(0, last_us),
            "most": _MOST,
        },
        timeout_s=timeout_s,
    )
    if not predicted.num_rows or last_us < 0:
        return Quality(count, 0)
    outcomes = await fetch_outcomes(reader, label, predicted, history, timeout_s=timeout_s)
    metrics = await trio.to_thread.run_sync(measure, predicted["score"], outcomes["label"], task)
    return Quality(count, predicted.num_rows, metrics)


def measure(scores: pa.ChunkedArray, outcomes: pa.ChunkedArray, task: Task) -> tuple[Measured, ...]:
    """Return the metrics of predictions; of one class alone only those that it allows.

    Args:
      scores: predicted numbers; of a classification the probability of `true`.
      outcomes: what came, a row a score.
    """
    score = scores.to_numpy().astype(np.float64)
    outcome = outcomes.cast(pa.float64()).to_numpy()
    of_task = _OF_CLASSES if task is Task.CLASSIFICATION else _OF_NUMBERS
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, len(score), len(score)) for _ in range(_RESAMPLES)]
    found = []
    for name, function in of_task.items():
        value = function(score, outcome)
        if value is None:
            continue
        drawn = [function(score[at], outcome[at]) for at in samples]
        known = [one for one in drawn if one is not None]
        low, high = np.quantile(known, [0.025, 0.975]) if known else (value, value)
        found.append(Measured(name, value, float(low), float(high)))
    return tuple(found)


def _roc_auc(score: Floats, outcome: Floats) -> float | None:
    """Return the area under the curve as the Mann-Whitney statistic, ties counted half."""
    positive = outcome > _HALF
    ones = int(positive.sum())
    zeros = len(outcome) - ones
    if not ones or not zeros:
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = ((last - counts + 1 + last) / 2)[inverse]
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _log_loss(score: Floats, outcome: Floats) -> float:
    likely = np.clip(np.where(outcome > _HALF, score, 1 - score), _CLIP, 1 - _CLIP)
    return float(-np.log(likely).mean())


def _brier(score: Floats, outcome: Floats) -> float:
    return float(((score - outcome) ** 2).mean())


def _accuracy(score: Floats, outcome: Floats) -> float:
    return float(((score > _HALF) == (outcome > _HALF)).mean())


def _rmse(score: Floats, outcome: Floats) -> float:
    return float(np.sqrt(((score - outcome) ** 2).mean()))


def _mae(score: Floats, outcome: Floats) -> float:
    return float(np.abs(score - outcome).mean())


def _r2(score: Floats, outcome: Floats) -> float | None:
    spread = float(((outcome - outcome.mean()) ** 2).sum())
    residual = float(((score - outcome) ** 2).sum())
    # A share of next to no spread is no number.
    return None if spread * sys.float_info.max <= residual else 1 - residual / spread


_Metric = Callable[[Floats, Floats], float | None]
_OF_CLASSES: Mapping[str, _Metric] = {
    "roc_auc": _roc_auc,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
}
_OF_NUMBERS: Mapping[str, _Metric] = {"r2": _r2, "rmse": _rmse, "mae": _mae}
