"""The job `train`: rows with labels become a model, its reference statistics, and what it is worth.

Nothing counts before the job has succeeded: the version, its metrics and whether it takes over are
the engine's to write then.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import attrs
import numpy as np

from engine.tasks.artifacts import ArtifactRefusedError, Predictions, TrainedModel, load_pipeline
from engine.tasks.artifacts.signature import LIBRARIES
from engine.tasks.errors import PermanentJobError
from engine.tasks.frames import RowsMismatchError
from engine.tasks.link import RefusedError
from engine.tasks.model_data import ArtifactError, Part, StoredPart
from engine.tasks.row_stream import UnreadableRowsError, read_table
from engine.tasks.training.bootstrap import Measurement
from engine.tasks.training.calibration import describe_calibration
from engine.tasks.training.importance import measure_importance
from engine.tasks.training.request import TrainingRequest, read_request
from engine.tasks.training.rows import TrainingRows, check_enough, read_rows
from engine.tasks.training.split import split_rows
from engine.tasks.training.trainer import (
    Fitted,
    ask_model,
    describe_reference,
    evaluate,
    fit_model,
)

UNAVAILABLE = "artifact_unavailable"
"""The code of an `ArtifactError` that trying again may mend."""


class TrainJob(Protocol):
    """What of a `JobContext` this job needs."""

    payload: Mapping[str, Any]
    logger: Any

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        """Say that the job has come further."""

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a metric."""

    def read_rows(self) -> Iterator[bytes]:
        """Yield the rows with their labels, an Arrow stream."""

    def read_part(self, model: str, version: int, part: Part = "pipeline") -> bytes:
        """Return a part of the champion."""

    def store_part(self, part: Part, content: Iterable[bytes]) -> StoredPart:
        """Store a part of what is made."""


@attrs.frozen
class _Champion:
    """What the champion is worth on the rows by which the new version is judged.

    `measured` is empty if its artifact is no use any more, and None if there is no champion.
    """

    measured: list[Measurement] | None
    facts: dict[str, Any] | None


@np.errstate(all="ignore")  # what overflows is looked for where it matters
def run(job: TrainJob) -> dict[str, Any]:
    """Train, store what came of it, and return what the engine makes a version of.

    Raises:
      PermanentJobError: nothing can be learned from these rows with these parameters; code and
        message say why.
      ArtifactError: the champion's artifact cannot be had for now.
      EngineUnreachableError: the connection was lost, or the blob store is away.
      RefusedError: the job is not this worker's any more.
    """
    request = read_request(job.payload)
    rows = _read(job, request)
    fitted_rows, tested_rows = split_rows(rows, request.split, request.label.within_s)
    check_enough(fitted_rows, tested_rows, request.split.least_rows)
    job.advance(note=f"fitting {request.estimator.class_name} to {len(fitted_rows)} rows")
    fitted = fit_model(request, fitted_rows, job.advance)
    job.advance(note=f"judging by {len(tested_rows)} rows")
    found = ask_model(fitted.model, tested_rows)
    measured = evaluate(request, found, tested_rows, job.advance)
    champion = _judge_champion(job, request, tested_rows)
    importance = measure_importance(
        fitted.model, tested_rows, request.metric, request.split.seed, job.advance
    )
    job.advance(note="describing the rows")
    reference = describe_reference(request, fitted_rows, found)
    job.advance(note="storing")
    artifact = job.store_part("pipeline", [fitted.content])
    stored_reference = job.store_part("reference", [reference])
    return {
        "artifact": attrs.asdict(artifact),
        "reference": attrs.asdict(stored_reference),
        "task": request.task.value,
        "estimator": request.estimator.class_name,
        "classes": _shown_classes(found),
        "metrics": [attrs.asdict(one) for one in measured],
        "champion_metrics": (
            None if champion.measured is None else [attrs.asdict(one) for one in champion.measured]
        ),
        "importance": [attrs.asdict(one) for one in importance],
        "rows_fitted": len(fitted_rows),
        "rows_tested": len(tested_rows),
        "trained_from_us": int(fitted_rows.times_us.min()),
        "trained_until_us": int(fitted_rows.times_us.max()),
        "lineage": {
            **_describe_rows(request, rows, fitted_rows, tested_rows),
            **_describe_model(request, fitted),
            "calibration": _describe_calibration(found, tested_rows),
            "champion": champion.facts,
        },
    }


def _read(job: TrainJob, request: TrainingRequest) -> TrainingRows:
    job.advance(note="reading rows")

    def note(rows: int) -> None:
        job.advance(note=f"{rows} rows")

    try:
        table = read_table(job.read_rows(), note)
    except UnreadableRowsError as error:
        raise PermanentJobError("bad_rows", str(error)) from None
    except RefusedError as error:
        raise PermanentJobError("rows_refused", str(error)) from None
    return read_rows(table, request.task)


def _judge_champion(job: TrainJob, request: TrainingRequest, rows: TrainingRows) -> _Champion:
    """Measure the champion on the held-out rows.

    One that cannot be used is as good as none, which must not keep the model from being trained:
    it is what gets rid of it. One that cannot be had just now fails the attempt.
    """
    version = request.champion_version
    if version is None:
        return _Champion(None, None)
    job.advance(note=f"judging the champion, version {version}")
    try:
        model = load_pipeline(job.read_part(request.model, version))
        found = _ask_champion(model, request, rows)
    except (ArtifactError, ArtifactRefusedError) as error:
        if error.code == UNAVAILABLE:
            raise
        job.count("artifacts_refused")
        job.logger.warning("the artifact of %s/%d is refused: %s", request.model, version, error)
        return _useless_champion(version, error.code, error)
    except (RowsMismatchError, PermanentJobError) as error:
        job.logger.warning("%s/%d cannot be judged: %s", request.model, version, error)
        return _useless_champion(version, getattr(error, "code", "schema_mismatch"), error)
    return _Champion(evaluate(request, found, rows, job.advance), {"version": version})


def _useless_champion(version: int, code: str, error: Exception) -> _Champion:
    return _Champion([], {"version": version, "code": code, "detail": str(error)})


def _ask_champion(model: TrainedModel, request: TrainingRequest, rows: TrainingRows) -> Predictions:
    if model.signature.task != request.task.value:
        raise RowsMismatchError(f"it is for {model.signature.task}, the label for {request.task}")
    return ask_model(model, rows)


def _describe_rows(
    request: TrainingRequest, rows: TrainingRows, fitted: TrainingRows, tested: TrainingRows
) -> dict[str, Any]:
    return {
        "commit_seq": request.commit_seq,
        "as_of_us": request.as_of_us,
        "within_s": request.label.within_s,
        "split": {"by": request.split.by, "test_share": request.split.test_share},
        "seed": request.split.seed,
        "tested_from_us": int(tested.times_us.min()),
        "tested_until_us": int(tested.times_us.max()),
        "rows_unlabelled": rows.unlabelled,
        "rows_in_gap": len(rows) - len(fitted) - len(tested),
    }


def _describe_model(request: TrainingRequest, fitted: Fitted) -> dict[str, Any]:
    return {
        "parameters": request.estimator.parameters,
        "types": fitted.model.signature.types,
        "features_left_out": dict(fitted.left_out),
        "remarks": list(fitted.remarks),
        "libraries": LIBRARIES,
    }


def _describe_calibration(found: Predictions, rows: TrainingRows) -> dict[str, Any] | None:
    if found.classes is None or len(found.classes) != 2:
        return None
    return describe_calibration(rows.labels == found.classes[1], found.score)


def _shown_classes(found: Predictions) -> list[str] | None:
    if found.classes is None:
        return None
    return [str(one).lower() if isinstance(one, bool) else one for one in found.classes]
