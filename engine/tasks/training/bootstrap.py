"""How far the value of a metric can be trusted: its interval under resampling."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from engine.tasks.training.metrics import Metric, Weights

_RESAMPLES_MOST: Final = 1_000
_RESAMPLES_LEAST: Final = 200
_ROW_VISITS: Final = 20_000_000
"""Rows times resamples, which bounds the time to seconds for all metrics together."""
_PERCENTILES: Final = (2.5, 97.5)


@attrs.frozen
class Measurement:
    """The value of a metric and its interval of 95 % confidence."""

    name: str
    value: float
    low: float
    high: float


def measure(
    metrics: Mapping[str, Metric],
    keys: NDArray[np.int64],
    seed: int,
    advance: Callable[[], None],
) -> list[Measurement]:
    """Return the metrics that are defined for the rows, with percentile bootstrap intervals.

    Entities are drawn, each with all its rows: those of one entity are no independent evidence.
    Two models that are measured on the same rows with the same seed see the same resamples.

    Args:
      keys: the entity of each row.
      advance: called after each resample.
    """
    every = np.ones(len(keys))
    values = {name: metric(every) for name, metric in metrics.items()}
    defined = {name: metrics[name] for name, value in values.items() if np.isfinite(value)}
    entities, entity_of = np.unique(keys, return_inverse=True)
    count = int(np.clip(_ROW_VISITS // max(len(keys), 1), _RESAMPLES_LEAST, _RESAMPLES_MOST))
    drawn = np.full((len(defined), count), np.nan)
    random = np.random.default_rng(seed)
    for number in range(count):
        weights = _draw(random, len(entities), entity_of)
        drawn[:, number] = [metric(weights) for metric in defined.values()]
        advance()
    return [
        Measurement(name, values[name], *_interval(drawn[place], values[name]))
        for place, name in enumerate(defined)
    ]


def _draw(random: np.random.Generator, entities: int, entity_of: NDArray[Any]) -> Weights:
    times = np.bincount(random.integers(0, entities, entities), minlength=entities)
    return np.asarray(times[entity_of], np.float64)


def _interval(drawn: NDArray[np.float64], value: float) -> tuple[float, float]:
    """A metric that few resamples define has the interval of those; one that none does, none."""
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        return value, value
    low, high = np.percentile(defined, _PERCENTILES)
    return float(low), float(high)
