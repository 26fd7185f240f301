"""The job `score`, which has no end of its own: scores what callers wait for, batch by batch.

Versions stay loaded from one batch to the next. What goes wrong with a batch is told to the engine,
which knows who waits; the job goes on.
"""

import json
import logging
import time
from collections.abc import Iterable
from typing import Any, Final, NoReturn, Protocol

import numpy as np
import pyarrow as pa

from engine.tasks.artifacts import Predictions, TrainedModel, load_pipeline
from engine.tasks.errors import JobHandedBack, PermanentJobError
from engine.tasks.frames import RowsMismatchError
from engine.tasks.hand import Callers
from engine.tasks.link import EngineUnreachableError
from engine.tasks.model_data import ArtifactError, NextBatch, Part, ScoredBatch

logger = logging.getLogger(__name__)

_WAIT_S: Final = 1.0
_AGAIN_S: Final = 0.05
_MESSAGE_CHARS: Final = 500
_NOBODY: Final = Callers()

CLASSES_KEY: Final = b"trellis.classes"
LABEL: Final = "label"
SCORE: Final = "score"


class ScoringJob(Protocol):
    """What of a `JobContext` this job needs."""

    @property
    def leave_requested(self) -> bool:
        """Whether the worker is to leave."""

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        """Say that the job has come further."""

    def act_for(self, callers: Callers) -> None:
        """Say whom what is done from now on is for."""

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a metric."""

    def read_part(self, model: str, version: int, part: Part = "pipeline") -> bytes:
        """Return a part of a version."""

    def exchange_batch(
        self, scored: ScoredBatch | None, wait_s: float, loaded: Iterable[str]
    ) -> NextBatch:
        """Deliver a batch and wait for the next one."""


def run(job: ScoringJob) -> NoReturn:
    """Score until told to hand the job back.

    Raises:
      JobHandedBack: the engine stops, or the worker is to be replaced.
      RefusedError: the job is not this worker's any more.
    """
    models: dict[str, TrainedModel] = {}
    scored: ScoredBatch | None = None
    while True:
        job.advance()
        try:
            batch = job.exchange_batch(scored, _WAIT_S, models)
        except EngineUnreachableError:
            # The connection was lost, or the engine is gone, which ends this process. What was
            # scored is delivered again: it is refused if somebody else was faster.
            if job.leave_requested:
                raise JobHandedBack from None
            time.sleep(_AGAIN_S)
            continue
        scored = None
        for name in batch.forget:
            models.pop(name, None)
        if batch.leave:
            raise JobHandedBack
        if batch.number:
            job.act_for(Callers(batch.request_ids, batch.trace_ids))
            scored = _score(job, batch, models)
            job.act_for(_NOBODY)


def _score(job: ScoringJob, batch: NextBatch, models: dict[str, TrainedModel]) -> ScoredBatch:
    name = f"{batch.model}/{batch.version}"
    logger.debug("batch %d for %s", batch.number, name)
    try:
        model = models.get(name)
        if model is None:
            content = job.read_part(batch.model, batch.version)
            model = models[name] = load_pipeline(content)
        if not batch.rows:
            return ScoredBatch(batch.number)
        with pa.ipc.open_stream(batch.rows) as reader:
            rows = reader.read_all().combine_chunks()
        predictions = encode_predictions(model.predict(rows))
    except (ArtifactError, PermanentJobError) as error:
        return _refusal(batch, error.code, error)
    except RowsMismatchError as error:
        return _refusal(batch, "schema_mismatch", error)
    except EngineUnreachableError as error:
        return _refusal(batch, "artifact_unavailable", error)
    except Exception as error:  # noqa: BLE001 - an estimator raises what it likes
        return _refusal(batch, "scoring_failed", error)
    job.count("rows", rows.num_rows)
    return ScoredBatch(batch.number, predictions)


def encode_predictions(predictions: Predictions) -> bytes:
    """Return predictions as an Arrow stream.

    Of a classification: `label`, the place of the predicted class, and a column a class with its
    probability; the classes stand in the metadata. Of a regression: `score`.
    """
    columns: dict[str, Any]
    metadata: dict[bytes, bytes] | None = None
    if predictions.classes is None or predictions.probabilities is None:
        columns = {SCORE: predictions.score}
    else:
        columns = {LABEL: predictions.places.astype(np.int32)}
        for place, probabilities in enumerate(predictions.probabilities.T):
            columns[str(place)] = np.ascontiguousarray(probabilities)
        metadata = {CLASSES_KEY: json.dumps([_show(one) for one in predictions.classes]).encode()}
    arrays = {name: pa.array(values) for name, values in columns.items()}
    schema = pa.schema([(name, array.type) for name, array in arrays.items()], metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([*arrays.values()], schema=schema))
    return bytes(sink.getvalue())


def _show(label: bool | str) -> str:
    return str(label).lower() if isinstance(label, bool) else label


def _refusal(batch: NextBatch, code: str, error: Exception) -> ScoredBatch:
    return ScoredBatch(
        batch.number, error_code=code, error=f"{type(error).__name__}: {error}"[:_MESSAGE_CHARS]
    )
