"""How much a model relies on each feature: what it loses when the feature's values are shuffled."""

from collections.abc import Callable
from typing import Final

import attrs
import numpy as np
import pyarrow as pa

from engine.config import Task
from engine.tasks.artifacts import TrainedModel
from engine.tasks.training.metrics import LOWER_IS_BETTER, prepare_metrics
from engine.tasks.training.rows import TrainingRows

_ROWS_MOST: Final = 5_000
_ROWS_LEAST: Final = 500
_ROW_VISITS: Final = 500_000
"""Rows predicted in all, which bounds the time to seconds, with large forests to a minute."""
_REPEATS: Final = 5


@attrs.frozen
class Importance:
    """The mean loss of the metric over some shuffles, and its standard deviation."""

    feature: str
    importance: float
    spread: float


def measure_importance(
    model: TrainedModel, rows: TrainingRows, metric: str, seed: int, advance: Callable[[], None]
) -> list[Importance]:
    """Return the importance of each feature, the greatest first.

    Args:
      rows: that the model was not fitted on; of many some are drawn.
      metric: the name of what is lost. A gain by shuffling is a negative importance.
      advance: called after each prediction.
    """
    random = np.random.default_rng(seed)
    features = model.signature.features
    rows = _draw(rows, len(features), random)
    sign = -1 if metric in LOWER_IS_BETTER else 1
    whole = rows.features.combine_chunks()
    base = sign * _value(model, rows, whole, metric)
    found = []
    for feature in features:
        place = whole.schema.get_field_index(feature)
        losses = np.empty(_REPEATS)
        for number in range(_REPEATS):
            shuffled = whole[feature].take(pa.array(random.permutation(len(rows))))
            table = whole.set_column(place, feature, shuffled)
            losses[number] = base - sign * _value(model, rows, table, metric)
            advance()
        if np.isfinite(losses).all():
            found.append(Importance(feature, float(losses.mean()), float(losses.std())))
    return sorted(found, key=lambda one: -one.importance)


def _draw(rows: TrainingRows, features: int, random: np.random.Generator) -> TrainingRows:
    most = int(np.clip(_ROW_VISITS // (features * _REPEATS), _ROWS_LEAST, _ROWS_MOST))
    if len(rows) <= most:
        return rows
    chosen = np.zeros(len(rows), np.bool_)
    chosen[random.choice(len(rows), most, replace=False)] = True
    return rows.take(chosen)


def _value(model: TrainedModel, rows: TrainingRows, table: pa.Table, metric: str) -> float:
    metrics = prepare_metrics(Task(model.signature.task), rows.labels, model.predict(table))
    return metrics[metric](np.ones(len(rows)))
