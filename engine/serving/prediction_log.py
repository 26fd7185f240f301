"""Predictions on their way into the data file. Who is answered never waits for it."""

import logging
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import trio

from engine import metrics
from engine.errors import TrellisError
from engine.records import Append, RequestWriter, WriteRequest
from engine.serving.rows import Score

logger = logging.getLogger(__name__)

TABLE: Final = "predictions"
_MOST_WAITING: Final = 50_000
"""Some 30 MB, or ten seconds of heavy load while the data file is checkpointed."""
_MOST_AT_ONCE: Final = 5_000
_GATHER_S: Final = 0.25
_LAST_S: Final = 5.0
_WHOLE: Final = 1 << 32

_SCHEMA: Final = pa.schema(
    [
        ("prediction_id", pa.string()),
        ("predicted_at", pa.timestamp("us")),
        ("model", pa.string()),
        ("version", pa.int32()),
        ("entity_key", pa.int64()),
        ("as_of", pa.timestamp("us")),
        ("feature_commit_seq", pa.int64()),
        ("inputs", pa.string()),
        ("statuses", pa.string()),
        ("prediction", pa.string()),
        ("score", pa.float64()),
        ("probabilities", pa.string()),
        ("shadow", pa.bool_()),
        ("request_id", pa.string()),
    ]
)


class Record(msgspec.Struct, frozen=True, gc=False):
    """A prediction as it is kept; fields as the table's columns, times in microseconds."""

    prediction_id: str
    predicted_at_us: int
    model: str
    version: int
    entity_key: int
    as_of_us: int
    feature_commit_seq: int
    inputs: tuple[Any, ...]
    statuses: str
    score: Score
    shadow: bool
    request_id: str


def is_sampled(prediction_id: str, share: float) -> bool:
    """Return whether a prediction is among those kept, which its id alone decides."""
    return share >= 1.0 or zlib.crc32(prediction_id.encode()) < share * _WHOLE


class PredictionLog:
    """Keeps predictions in batches. Used from the Trio thread; somebody runs `run`."""

    def __init__(self, writer: RequestWriter) -> None:
        self._writer = writer
        self._waiting: deque[Record] = deque()
        self._arrived = trio.Event()
        self._written = trio.Event()
        self._hurry = self._closing = False
        self._added = self._done = 0

    def add(self, record: Record) -> None:
        """Have a prediction kept; it is counted as dropped if too many wait already."""
        if len(self._waiting) >= _MOST_WAITING:
            metrics.PREDICTIONS_DROPPED.labels("overload").inc()
            return
        self._waiting.append(record)
        self._added += 1
        self._arrived.set()

    async def flush(self) -> None:
        """Wait until what was added before is in the file, or was dropped.

        Cancellation: a checkpoint; it is written all the same.
        """
        upto = self._added
        while self._done < upto:
            self._hurry = True
            self._arrived.set()
            await self._written.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled, then what is left, within seconds."""
        # A commit under way when the end comes is waited for: given up it may have happened all the
        # same, and a second one would keep its predictions twice.
        writing = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_all, writing)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                writing.deadline = trio.current_time() + _LAST_S
                self._closing = self._hurry = True
                self._arrived.set()

    async def _write_all(self, scope: trio.CancelScope) -> None:
        with scope:
            while self._waiting or not self._closing:
                if not self._waiting:
                    await self._arrived.wait()
                if not self._hurry and len(self._waiting) < _MOST_AT_ONCE:
                    await self._gather()
                await self._write_some()
        if self._waiting:
            metrics.PREDICTIONS_DROPPED.labels("shutdown").inc(len(self._waiting))
            logger.error("predictions not kept", extra={"predictions": len(self._waiting)})

    async def _gather(self) -> None:
        """Let others come, unless somebody is in a hurry: a commit costs as much for one."""
        self._arrived = trio.Event()
        deadline_s = trio.current_time() + _GATHER_S
        while not self._hurry and len(self._waiting) < _MOST_AT_ONCE:
            with trio.move_on_at(deadline_s) as waiting:
                await self._arrived.wait()
            if waiting.cancelled_caught:
                return
            self._arrived = trio.Event()
            # Not once a prediction: those of the next moment come along.
            await trio.sleep(min(_GATHER_S / 10, max(0.0, deadline_s - trio.current_time())))

    async def _write_some(self) -> None:
        records = [self._waiting[n] for n in range(min(len(self._waiting), _MOST_AT_ONCE))]
        if records:
            try:
                await self._writer.submit(WriteRequest((Append(TABLE, to_rows(records)),)))
            except TrellisError as error:
                metrics.PREDICTIONS_DROPPED.labels("refused").inc(len(records))
                facts = {"predictions": len(records), "detail": str(error)}
                logger.warning("predictions not kept", extra=facts)
            else:
                metrics.PREDICTIONS_KEPT.inc(len(records))
            for _ in records:
                self._waiting.popleft()
            self._done += len(records)
        if not self._waiting:
            self._arrived = trio.Event()
            self._hurry = self._closing
        written, self._written = self._written, trio.Event()
        written.set()


def to_rows(records: Sequence[Record]) -> pa.RecordBatch:
    """Return predictions as rows of the table."""
    encode = msgspec.json.encode
    columns: list[list[Any]] = [
        [record.prediction_id for record in records],
        [record.predicted_at_us for record in records],
        [record.model for record in records],
        [record.version for record in records],
        [record.entity_key for record in records],
        [record.as_of_us for record in records],
        [record.feature_commit_seq for record in records],
        [encode(record.inputs).decode() for record in records],
        [record.statuses for record in records],
        [record.score.label or repr(record.score.score) for record in records],
        [record.score.score for record in records],
        [_probabilities(record.score) for record in records],
        [record.shadow for record in records],
        [record.request_id or None for record in records],
    ]
    arrays = [
        pa.array(values, type=field.type) for field, values in zip(_SCHEMA, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _probabilities(score: Score) -> str | None:
    if not score.classes:
        return None
    named = dict(zip(score.classes, score.probabilities, strict=True))
    return msgspec.json.encode(named).decode()
