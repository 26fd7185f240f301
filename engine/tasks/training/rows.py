"""The rows of a training: who was observed when, what was known of them, and what came of it."""

from collections.abc import Sequence
from typing import Any, Final

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.config import Task
from engine.tasks.errors import PermanentJobError
from engine.tasks.frames import RowsMismatchError, types_of

CLASSES_MAX: Final = 100
"""A label with more values is hardly one of classes, and every class costs as much as a model."""

_KEY, _TIME, _LABEL = "entity_key", "event_time", "label"


@attrs.frozen(eq=False)
class TrainingRows:
    """Labelled observations.

    `features` has a column for each feature, the champion's too. `labels` are bool or str of a
    classification, float64 of a regression, in either case none missing.
    """

    keys: NDArray[np.int64]
    times_us: NDArray[np.int64]
    labels: NDArray[Any]
    features: pa.Table
    unlabelled: int
    """How many rows were left out because they had no label."""

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, chosen: NDArray[np.bool_]) -> "TrainingRows":
        """Return the chosen rows."""
        return TrainingRows(
            self.keys[chosen],
            self.times_us[chosen],
            self.labels[chosen],
            self.features.filter(pa.array(chosen)),
            self.unlabelled,
        )

    def types_of(self, features: Sequence[str]) -> dict[str, str]:
        """Return the types of features. Raises PermanentJobError: one of them is not there."""
        try:
            return types_of(self.features.schema, features)
        except RowsMismatchError as error:
            raise PermanentJobError("bad_rows", str(error)) from None


def read_rows(table: pa.Table, task: Task) -> TrainingRows:
    """Return the rows of a table with a label; the others are no use.

    Args:
      table: columns entity_key (int64), event_time (timestamp, microseconds) and label (bool,
        double or string), then features.
    Raises:
      PermanentJobError: the columns are others, or the label does not fit the task.
    """
    if table.column_names[:3] != [_KEY, _TIME, _LABEL]:
        raise PermanentJobError("bad_rows", f"the rows begin with {table.column_names[:3]}")
    label = table[_LABEL]
    if pa.types.is_floating(label.type):
        label = pc.if_else(pc.is_finite(label), label, None)
    known = pc.is_valid(label)
    labelled = table.filter(known)
    return TrainingRows(
        keys=labelled[_KEY].to_numpy(),
        times_us=labelled[_TIME].cast(pa.int64()).to_numpy(),
        labels=_labels(label.filter(known), task),
        features=labelled.drop_columns([_KEY, _TIME, _LABEL]),
        unlabelled=table.num_rows - labelled.num_rows,
    )


def check_enough(fitted: TrainingRows, tested: TrainingRows, least_rows: int) -> None:
    """Refuse what nothing can be learned from.

    Raises:
      PermanentJobError: too_little_data, one_class or constant_label, with the numbers.
    """
    if len(fitted) < least_rows:
        raise PermanentJobError(
            "too_little_data",
            f"{len(fitted)} rows to fit on, split.least_rows asks for {least_rows} "
            f"({len(tested)} more to judge by, {fitted.unlabelled} without a label)",
        )
    if not len(tested):
        raise PermanentJobError(
            "too_little_data", f"{len(fitted)} rows to fit on, and none to judge the model by"
        )
    if fitted.labels.dtype == np.float64:
        if fitted.labels.min() == fitted.labels.max():
            raise PermanentJobError(
                "constant_label",
                f"the label is {fitted.labels[0]:g} in all {len(fitted)} rows to fit on",
            )
        return
    for part, purpose in ((fitted, "fit on"), (tested, "judge by")):
        if (part.labels == part.labels[0]).all():
            raise PermanentJobError(
                "one_class",
                f"the label is {_shown(part.labels[0])} in all {len(part)} rows to {purpose}",
            )
    classes = len(np.unique(fitted.labels))
    if classes > CLASSES_MAX:
        raise PermanentJobError(
            "too_many_classes", f"the label has {classes} values; at most {CLASSES_MAX} are classes"
        )


def _labels(label: pa.ChunkedArray, task: Task) -> NDArray[Any]:
    kind = label.type
    if task is Task.REGRESSION and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return np.asarray(label.to_numpy(), np.float64)
    if task is Task.CLASSIFICATION and pa.types.is_boolean(kind):
        return np.asarray(label.to_numpy(), np.bool_)
    if task is Task.CLASSIFICATION and pa.types.is_string(kind):
        # With a fixed width: comparing objects is slow, and the artifact keeps what classes are.
        return np.asarray(label.to_pylist(), np.str_)
    raise PermanentJobError("bad_label", f"a label of type {kind} is nothing for a {task.value}")


def _shown(label: Any) -> str:
    return str(bool(label)).lower() if isinstance(label, np.bool_) else repr(str(label)[:80])
