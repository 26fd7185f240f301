"""The rows a training is given: features as of each observation, and what came after."""

import io
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import attrs
import pyarrow as pa
import trio

from engine.config import UploadSpec
from engine.errors import FailedPreconditionError
from engine.features import FeatureStore, HistoryReader
from engine.features.views import FeatureSet
from engine.learning.payloads import TrainingRequest
from engine.models.labels import fetch_labels

_MESSAGE_BYTES = 1024 * 1024
_BATCH_ROWS = 4_096
_SECOND_US = 1_000_000
_TIMEOUT_S = 600.0
"""For each query; five million events take seconds."""


async def fetch_training_rows(
    request: TrainingRequest,
    features: FeatureStore,
    reader: HistoryReader,
    uploads: Mapping[str, UploadSpec],
) -> pa.Table:
    """Fetch the rows of a training, the same for the same request.

    Nobody is observed at a time at which his features would rest on events that have been moved.

    Returns: columns entity_key (int64), event_time (timestamp, microseconds, UTC) and label, then a
      column for each feature of the request, NULL where it is missing; ordered by time and entity.
      A feature that only the champion has is left out if it is not defined any more: that champion
      cannot be judged, which must not keep the model from being trained.
    Raises:
      FailedPreconditionError: a feature of the model, or the label's dataset or its column, is not
        defined any more.
      DeadlineExceededError: a query took longer than ten minutes.
      StoreError: a query failed.
    Cancellation: the query is interrupted.
    """
    feature_set = features.feature_set
    _check_defined(request, feature_set, uploads)
    names = [name for name in request.columns if name in feature_set.features]
    # An uploaded outcome is an observation without a look at events.
    active_us = None if request.label.dataset else request.observations.active * _SECOND_US
    begin_us = features.earliest_us(names, active_us)
    labels = await fetch_labels(
        reader,
        request.label,
        request.observations,
        uploads,
        attrs.evolve(request.history, begin_us=begin_us),
        seed=request.split.seed,
        timeout_s=_TIMEOUT_S,
    )
    rows = await features.training_set(
        labels.select(["entity_key", "event_time"]),
        names,
        request.history.commit_seq,
        timeout_s=_TIMEOUT_S,
    )
    return rows.add_column(2, "label", labels["label"])


def _check_defined(
    request: TrainingRequest, features: FeatureSet, uploads: Mapping[str, UploadSpec]
) -> None:
    """Refuse a training that an engine with other definitions has left behind."""
    lost = features.find_undefined(request.features)
    dataset, column = request.label.dataset, request.label.column
    if dataset is not None and (dataset not in uploads or column not in uploads[dataset].columns):
        lost.append(f"{request.label.source}.{column}")
    if lost:
        raise FailedPreconditionError(
            f"features.yaml does not define {', '.join(lost)} any more, as it did when this "
            "training was called for; start another one"
        )


async def stream_table(table: pa.Table) -> AsyncGenerator[bytes, None]:
    """Yield a table as an Arrow IPC stream, in parts of about 1 MiB.

    Cancellation: a checkpoint after each batch of rows.
    """
    parts = _Parts()
    with pa.ipc.new_stream(parts, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            writer.write_batch(batch)
            if parts.size_bytes >= _MESSAGE_BYTES:
                yield parts.take()
            await trio.lowlevel.checkpoint()
    yield parts.take()


class _Parts(io.RawIOBase):
    """Keeps what Arrow writes until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._written.append(content)
        self.size_bytes += len(content)
        return len(content)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        content = b"".join(self._written)
        self._written.clear()
        self.size_bytes = 0
        return content
