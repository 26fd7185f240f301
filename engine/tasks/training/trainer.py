"""From rows to a model, and to what is known about it. Without the engine."""

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from engine.config import Task
from engine.tasks.artifacts import (
    Predictions,
    Signature,
    TrainedModel,
    dump_pipeline,
    load_pipeline,
)
from engine.tasks.artifacts.soundness import COLUMNS, ESTIMATOR
from engine.tasks.errors import PermanentJobError
from engine.tasks.frames import to_frame
from engine.tasks.reference import make_reference
from engine.tasks.reference_file import write_reference
from engine.tasks.training.bootstrap import Measurement, measure
from engine.tasks.training.fitting import fit_estimator
from engine.tasks.training.metrics import prepare_metrics
from engine.tasks.training.pipelines import (
    build_columns,
    build_estimator,
    classes_of,
    find_usable,
)
from engine.tasks.training.request import TrainingRequest
from engine.tasks.training.rows import TrainingRows

Advance = Callable[[], None]


@attrs.frozen(eq=False)
class Fitted:
    """A model, as it was read back from the artifact that it is kept as."""

    content: bytes
    model: TrainedModel
    left_out: Mapping[str, str]
    """Features that it does not look at, and why."""
    remarks: Sequence[str]
    """Of scikit-learn."""


def fit_model(request: TrainingRequest, rows: TrainingRows, advance: Advance) -> Fitted:
    """Fit a model; the same rows and request give the same bytes.

    What is returned was written and read again, so that what is measured is what will be served.

    Args:
      rows: to fit on, enough of them.
      advance: called now and then; what it raises ends the fit.
    Raises:
      PermanentJobError: no_usable_feature, bad_parameters, artifact_too_large and the like.
    """
    estimator = build_estimator(request.estimator, request.split.seed)
    types = rows.types_of(request.features)
    frame = to_frame(rows.features, request.features, types)
    usable = find_usable(frame, types)
    columns = build_columns(usable, request.estimator.class_name)
    values = columns.fit_transform(frame)
    if not np.isfinite(values).all():
        raise PermanentJobError(
            "values_too_large", "values of a feature are too large to be added up"
        )
    advance()
    remarks = fit_estimator(estimator, values, rows.labels, advance)
    signature = Signature(
        model=request.model,
        features=request.features,
        types=types,
        task=request.task.value,
        classes=classes_of(estimator),
    )
    content = dump_pipeline(Pipeline([(COLUMNS, columns), (ESTIMATOR, estimator)]), signature)
    advance()
    model = load_pipeline(content)
    advance()
    return Fitted(content, model, usable.left_out, remarks)


def ask_model(model: TrainedModel, rows: TrainingRows) -> Predictions:
    """Return what a model says of rows.

    Raises:
      PermanentJobError: values_too_large; its sums overflow.
      RowsMismatchError: they lack a feature of it, or have it in another type.
    """
    found = model.predict(rows.features)
    if not np.isfinite(found.score).all():
        raise PermanentJobError(
            "values_too_large", "values of a feature or of the label are too large to be added up"
        )
    return found


def evaluate(
    request: TrainingRequest, found: Predictions, rows: TrainingRows, advance: Advance
) -> list[Measurement]:
    """Return the metrics of predictions for held-out rows, with their intervals."""
    metrics = prepare_metrics(request.task, rows.labels, found)
    return measure(metrics, rows.keys, request.split.seed, advance)


def describe_reference(request: TrainingRequest, fitted: TrainingRows, found: Predictions) -> bytes:
    """Return the file of reference statistics.

    Of the features over the rows that were fitted on; of the prediction over the held-out ones
    (`found`): the score, or with more than two classes the class.
    """
    if request.task is Task.CLASSIFICATION and found.classes is not None and len(found.classes) > 2:
        prediction = pa.array([str(answer) for answer in found.answers], pa.string())
    else:
        prediction = pa.array(found.score, pa.float64())
    features = fitted.features.select(list(request.features))
    return write_reference(make_reference(features, seed=request.split.seed, prediction=prediction))
