"""A trained model in memory, ready to predict."""

import copy
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import sklearn
from numpy.typing import NDArray

from engine.config import Task
from engine.tasks.artifacts.signature import Signature
from engine.tasks.artifacts.soundness import NUMERIC
from engine.tasks.frames import to_block


@attrs.frozen(eq=False)
class Predictions:
    """Answers to some rows.

    `score` is one number a row: the predicted number, the probability of the second of two classes,
    or of more the probability of the predicted one. `probabilities`, rows by classes, and
    `classes` are None for a regression.
    """

    score: NDArray[np.float64]
    probabilities: NDArray[np.float64] | None = None
    classes: tuple[bool | str, ...] | None = None

    @property
    def places(self) -> NDArray[np.int64]:
        """The predicted class of each row, by its place in `classes`."""
        assert self.probabilities is not None
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def answers(self) -> list[bool | str | float]:
        """The prediction for each row: a class, or a number."""
        if self.classes is None:
            return list(self.score.tolist())
        classes = self.classes
        return [classes[place] for place in self.places.tolist()]


@attrs.frozen(eq=False)
class _Block:
    """Features that are treated alike, and the fitted steps that do it."""

    features: tuple[str, ...]
    steps: tuple[Any, ...]


class TrainedModel:
    """A pipeline and its signature.

    Predictions are those of `pipeline` for the data frame of the rows. They are made without one:
    for a handful of rows, taking a frame apart and checking it costs several times what the
    arithmetic does.
    """

    def __init__(self, pipeline: Any, signature: Signature) -> None:
        """Take a fitted pipeline of Trellis' making."""
        self.pipeline = pipeline
        self.signature = signature
        columns, self._estimator = pipeline[0], pipeline[1]
        self._blocks = [
            _Block(tuple(features), _steps_of(name, transformer))
            for name, transformer, features in columns.transformers_
            if transformer != "drop"
        ]

    def predict(self, rows: pa.Table | pa.RecordBatch) -> Predictions:
        """Predict for each row.

        Args:
          rows: a column for each feature of the signature at least; null is missing. A row whose
            values overflow has NaN for an answer.
        Raises:
          RowsMismatchError: a column is missing or of another type.
        """
        # What comes out of `to_block` is finite or missing, and checked by that.
        with (
            sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
            np.errstate(all="ignore"),
        ):
            taken = self._transform(rows)
            if self.signature.task == Task.REGRESSION:
                return Predictions(np.asarray(self._estimator.predict(taken), np.float64))
            probabilities = np.asarray(self._estimator.predict_proba(taken), np.float64)
        classes = self.signature.classes
        assert classes is not None
        score = probabilities[:, 1] if len(classes) == 2 else probabilities.max(axis=1)
        return Predictions(np.ascontiguousarray(score), probabilities, classes)

    def _transform(self, rows: pa.Table | pa.RecordBatch) -> NDArray[np.float64]:
        taken = []
        for block in self._blocks:
            values = to_block(rows, block.features, self.signature.types)
            for step in block.steps:
                values = step.transform(values)
            taken.append(values)
        return taken[0] if len(taken) == 1 else np.hstack(taken)


def _steps_of(name: str, transformer: Any) -> tuple[Any, ...]:
    """Return copies of fitted steps that know no names, since they are given none."""
    steps: Sequence[Any] = [transformer]
    if name == NUMERIC:
        steps = [step for _, step in transformer.steps]
    nameless = []
    for step in steps:
        own = copy.copy(step)
        indicator = getattr(own, "indicator_", None)
        if indicator is not None:
            own.indicator_ = copy.copy(indicator)
        for part in (own, indicator and own.indicator_):
            if part is not None and hasattr(part, "feature_names_in_"):
                del part.feature_names_in_
        nameless.append(own)
    return tuple(nameless)
