"""One batch at a time into the data file: rows, dead letters and offsets in one transaction."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs
import trio

from engine import metrics, tracing
from engine.clock import to_datetime
from engine.errors import DataFileFailedError, TrellisError
from engine.intake.position import Fingerprint
from engine.intake.rejection import Rejected
from engine.intake.validation import DecodedBatch
from engine.records import Append, Operation, Upsert, WriteRequest
from engine.store.writer import Writer

logger = logging.getLogger(__name__)

_OFFSET_COLUMNS = (
    "topic_partition",
    "topic",
    "partition",
    "next_offset",
    "broker_incarnation",
    "last_fingerprint",
    "updated_at",
)
_DEAD_LETTER_COLUMNS = (
    "dead_letter_id",
    "topic",
    "partition",
    "offset",
    "broker_incarnation",
    "received_at",
    "payload",
    "reason",
    "detail",
)


@attrs.define
class PartitionState:
    """Where a partition stands in its log."""

    next_offset: int
    incarnation: str
    fingerprint: Fingerprint | None


@attrs.define
class Batch:
    """What was decoded since the last commit began, of any number of partitions."""

    topic: str
    states: dict[int, PartitionState] = attrs.field(factory=dict)
    """Of the partitions that moved: where they stand after the batch."""
    operations: list[Operation] = attrs.field(factory=list)
    rejected: Counter[str] = attrs.field(factory=Counter)
    event_count: int = 0
    size_bytes: int = 0

    @property
    def row_count(self) -> int:
        return self.event_count + self.rejected.total()

    def add(self, partition: int, decoded: DecodedBatch, incarnation: str, now_us: int) -> None:
        """Add messages of a partition. Its state is added by `advance`."""
        if decoded.events.num_rows:
            self.operations.append(Append("events", decoded.events))
            self.event_count += decoded.events.num_rows
            self.size_bytes += decoded.events.nbytes
        if decoded.rejected:
            self.add_rejected(partition, decoded.rejected, incarnation, now_us)

    def add_rejected(
        self, partition: int, rejected: Sequence[Rejected], incarnation: str, now_us: int
    ) -> None:
        """Add dead letters of a partition. Its state is added by `advance`."""
        received_at = to_datetime(now_us)
        rows = [
            (
                f"{self.topic}/{partition}/{message.offset}@{incarnation}",
                self.topic,
                partition,
                message.offset,
                incarnation,
                received_at,
                message.payload,
                str(message.reason),
                message.detail,
            )
            for message in rejected
        ]
        self.operations.append(Upsert("dead_letters", _DEAD_LETTER_COLUMNS, rows))
        self.rejected.update(str(message.reason) for message in rejected)
        self.size_bytes += sum(len(message.payload or b"") for message in rejected)

    def advance(self, partition: int, state: PartitionState) -> None:
        """Note where a partition goes on after what was added."""
        self.states[partition] = state

    def to_request(self, now_us: int) -> WriteRequest:
        """Return the batch as one transaction, its offsets included."""
        updated_at = to_datetime(now_us)
        rows = [
            (
                f"{self.topic}/{partition}",
                self.topic,
                partition,
                state.next_offset,
                state.incarnation,
                None if state.fingerprint is None else str(state.fingerprint),
                updated_at,
            )
            for partition, state in self.states.items()
        ]
        return WriteRequest((*self.operations, Upsert("kafka_offsets", _OFFSET_COLUMNS, rows)))


class Committer:
    """Submits batches one after the other, so that a batch lands only if all before it did.

    It outlives the connection to the broker: what has been handed to the writer will be written or
    refused, and until that is known nobody may read from the data file where to go on.
    """

    def __init__(self, writer: Writer, nursery: trio.Nursery) -> None:
        self._writer = writer
        self._nursery = nursery
        self._idle = trio.Event()
        self._idle.set()
        self._failure: TrellisError | None = None
        self._rejects_committed = trio.Event()
        self.next_offsets: dict[int, int] = {}
        """Of the partitions held: the offset up to which everything is committed."""

    @property
    def busy(self) -> bool:
        return not self._idle.is_set()

    def start(self, batch: Batch, now_us: int) -> None:
        """Begin to commit a batch; not while one is under way.

        Raises:
          TrellisError: a batch before failed. This one would leave a hole: nothing is taken until
            `hold` starts anew from what is in the file.
        """
        assert not self.busy
        self._raise_failure()
        self._idle = trio.Event()
        self._nursery.start_soon(self._commit, batch, batch.to_request(now_us))

    async def wait_idle(self) -> None:
        """Wait until nothing is under way.

        Raises:
          TrellisError: the last batch was not committed.
        """
        await self._idle.wait()
        self._raise_failure()

    async def settle(self) -> None:
        """Wait until nothing is under way, whatever became of it."""
        await self._idle.wait()

    def next_rejects(self) -> trio.Event:
        """Return the event that is set by the next commit that holds dead letters."""
        return self._rejects_committed

    def hold(self, next_offsets: Mapping[int, int]) -> None:
        """Start anew with these partitions, held from these offsets on; not while busy."""
        assert not self.busy
        self._failure = None
        self.next_offsets = dict(next_offsets)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _commit(self, batch: Batch, request: WriteRequest) -> None:
        try:
            # A request that is queued is written even if its sender is cancelled, so its end is
            # awaited: bounded, since the writer answers every request, also when it stops.
            with trio.CancelScope(shield=True), _trace(batch):
                await self._writer.submit(request)
        except DataFileFailedError:
            raise
        except TrellisError as error:
            logger.warning("batch not committed", extra={"detail": str(error)})
            self._failure = error
        else:
            self._note(batch)
        finally:
            self._idle.set()

    def _note(self, batch: Batch) -> None:
        self.next_offsets |= {
            partition: state.next_offset
            for partition, state in batch.states.items()
            if partition in self.next_offsets
        }
        metrics.INTAKE_EVENTS.inc(batch.event_count)
        for reason, count in batch.rejected.items():
            metrics.INTAKE_REJECTED.labels(reason).inc(count)
        if batch.rejected:
            committed, self._rejects_committed = self._rejects_committed, trio.Event()
            committed.set()


def _trace(batch: Batch) -> tracing.Span:
    span = tracing.start(f"process {batch.topic}", tracing.Kind.CONSUMER)
    if span.is_recording:
        span.set("messaging.system", "kafka")
        span.set("messaging.operation.type", "process")
        span.set("messaging.destination.name", batch.topic)
        span.set("messaging.batch.message_count", batch.row_count)
        span.set("trellis.rejected", batch.rejected.total())
    return span
