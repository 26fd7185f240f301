"""Consuming over one connection to the broker, from finding the positions to its first failure.

Exactly once rests on three rules. The data file says where to go on, and it is asked only when no
batch is under way. Batches land one after the other, offsets in the same transaction as rows. And a
record counts only if nothing has changed since the positions were set: not the assignment, not the
log, not the position itself.
"""

import logging
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from engine import metrics
from engine.config import KafkaConfig
from engine.errors import BackendUnavailableError
from engine.intake.broker import Broker
from engine.intake.committer import Batch, Committer, PartitionState
from engine.intake.kafka import (
    Consumer,
    Polled,
    PositionLostError,
    read_cluster_id,
    same_connections,
)
from engine.intake.position import (
    Fingerprint,
    LogBounds,
    Start,
    StoredPosition,
    Verdict,
    Witness,
    decide_start,
    find_witness_offset,
)
from engine.intake.status import IntakeStatus
from engine.intake.topics import Topics
from engine.intake.validation import Rules, decode_batch
from engine.store.queries import load_queries
from engine.store.reader import Reader

logger = logging.getLogger(__name__)

_POLL_RECORDS = 1_000
"""Decoding so many takes 2 ms, which is how long other tasks may wait for it."""
_IDLE_POLL_S = 0.2
_BATCH_BYTES = 8 * 1024**2
_WATCH_INTERVAL_S = 1.0
_SHRUNK_RECHECK_S = 1.0
"""After a change of leader a log may seem shorter for a moment."""
_RESTLESS_S = 1.0
"""Positions that are lost again within this time call for a new connection and its back-off."""

_ASSIGNMENT_CHANGED = "assignment changed"

_QUERIES = load_queries("engine.intake")


@attrs.frozen
class IntakeParts:
    """What a session works with."""

    config: KafkaConfig
    broker: Broker
    topics: Topics
    reader: Reader
    committer: Committer
    status: IntakeStatus
    rules: Rules
    clock_us: Callable[[], int]

    @property
    def group_id(self) -> str | None:
        """The group to join. Joining takes seconds and the embedded broker is ours alone."""
        return None if self.broker.embedded else self.config.group_id or None


class Session:
    """One consumer's life. Make another one after a failure."""

    def __init__(self, parts: IntakeParts, consumer: Consumer) -> None:
        self._parts = parts
        self._consumer = consumer
        self._topic = parts.config.topic
        self._states: dict[int, PartitionState] = {}
        self._batch = Batch(self._topic)
        self._assignment = -1
        self._connections: tuple[Any, ...] = ()
        self._incarnation: str | None = None
        self._located_at_s: float | None = None
        self._doubt: str | None = "connected"
        """Why positions must be found (again); None while they hold."""

    @property
    def located(self) -> bool:
        """True once positions were found: the broker is there and can be consumed from."""
        return self._located_at_s is not None

    async def run(self) -> None:
        """Consume until something fails.

        Raises:
          BackendUnavailableError: the broker is gone, refuses us, or contradicts itself.
          TrellisError: a batch could not be committed.
        Cancellation: what is with the writer will be written, the rest is dropped.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while True:
                await self._step()

    async def _step(self) -> None:
        if self._consumer.assignment != self._assignment and self._doubt is None:
            self._doubt = _ASSIGNMENT_CHANGED
        if self._doubt is not None:
            await self._locate(self._doubt)
        committer = self._parts.committer
        if self._batch.states and not committer.busy:
            batch, self._batch = self._batch, Batch(self._topic)
            committer.start(batch, self._parts.clock_us())
        try:
            polled = await self._consumer.poll(
                self._assignment,
                timeout_s=0.0 if self._batch.states else _IDLE_POLL_S,
                max_records=_POLL_RECORDS,
            )
        except PositionLostError as error:
            self._doubt = str(error)
            return
        self._doubt = self._doubt or self._find_doubt(polled)
        if self._doubt is not None:
            return
        moved = await self._take(polled)
        full = (
            self._batch.row_count >= self._parts.config.batch_rows
            or self._batch.size_bytes >= _BATCH_BYTES
        )
        if self._batch.states and (full or not moved):
            await committer.wait_idle()

    def _find_doubt(self, polled: Polled) -> str | None:
        """Return why the records cannot be taken for the continuation of what was read."""
        if polled.assignment != self._assignment:
            return _ASSIGNMENT_CHANGED
        if not same_connections(polled.connections, self._connections):
            return "connection to the broker replaced"
        if self._parts.broker.incarnation != self._incarnation:
            return "broker restarted"
        expected = {number: state.next_offset for number, state in self._states.items()}
        if polled.before != expected:
            return f"positions moved: {dict(polled.before)} instead of {expected}"
        return None

    async def _take(self, polled: Polled) -> bool:
        """Decode what was polled into the batch; return whether any partition moved."""
        moved = False
        for partition, next_offset in polled.after.items():
            state = self._states[partition]
            if next_offset == state.next_offset:
                continue
            moved = True
            fingerprint = state.fingerprint
            if records := polled.records.get(partition):
                now_us = self._parts.clock_us()
                decoded = decode_batch(
                    self._topic,
                    partition,
                    [record.offset for record in records],
                    [record.value for record in records],
                    rules=self._parts.rules,
                    now_us=now_us,
                )
                self._batch.add(partition, decoded, state.incarnation, now_us)
                fingerprint = _fingerprint(records[-1])
                await trio.lowlevel.checkpoint()
            # Past the last record there may be marks of transactions, which are no records.
            state = PartitionState(next_offset, state.incarnation, fingerprint)
            self._states[partition] = state
            self._batch.advance(partition, state)
        return moved

    async def _locate(self, doubt: str) -> None:
        """Find out where to go on, and that it is still the same log, then start there."""
        since_s = trio.current_time() - (
            -math.inf if self._located_at_s is None else self._located_at_s
        )
        if since_s < _RESTLESS_S and doubt != _ASSIGNMENT_CHANGED:
            raise BackendUnavailableError("kafka", doubt)
        self._doubt = None
        self._batch = Batch(self._topic)
        parts, consumer = self._parts, self._consumer
        await parts.committer.settle()
        self._incarnation = parts.broker.incarnation
        if parts.broker.embedded and self._incarnation is None:
            raise BackendUnavailableError("kafka", "the embedded broker has not started yet")
        partitions = await parts.topics.prepare()
        if parts.group_id is not None:
            partitions = await self._await_assignment()
        bounds = await consumer.read_bounds(partitions)
        # These connections lead to the log that is examined from here on.
        self._connections = consumer.connections
        await self._check_incarnation()
        stored = await self._read_stored(partitions)
        beginnings = {partition: of_log.start for partition, of_log in bounds.items()}
        if parts.group_id is None:
            await consumer.assign(beginnings)
            self._assignment = consumer.assignment
        else:
            await consumer.seek(beginnings)
        bounds |= await self._confirm_ends(stored, bounds)
        starts = {
            partition: decide_start(
                stored.get(partition),
                bounds[partition],
                self._incarnation,
                await self._examine(partition, stored.get(partition), bounds[partition]),
            )
            for partition in partitions
        }
        self._report(starts)
        await consumer.seek({partition: start.offset for partition, start in starts.items()})
        self._states = self._to_states(starts, stored)
        parts.committer.hold({partition: start.offset for partition, start in starts.items()})
        parts.status.consuming(len(partitions))
        self._located_at_s = trio.current_time()

    async def _await_assignment(self) -> tuple[int, ...]:
        while True:
            self._assignment = self._consumer.assignment
            if (assigned := self._consumer.assigned) is not None:
                return assigned
            self._parts.status.waiting(
                f"waiting for group {self._parts.group_id} to assign partitions"
            )
            await self._consumer.wait_assigned()

    async def _check_incarnation(self) -> None:
        if self._incarnation is None:
            return
        cluster_id = await read_cluster_id(self._parts.config, self._parts.broker)
        if cluster_id != self._incarnation:
            # It restarted and its new identity is not known here yet.
            raise BackendUnavailableError(
                "kafka", f"the broker is {cluster_id}, expected is {self._incarnation}"
            )

    async def _read_stored(self, partitions: tuple[int, ...]) -> dict[int, StoredPosition]:
        rows = await self._parts.reader.fetch_rows(_QUERIES["positions"], {"topic": self._topic})
        return {
            partition: StoredPosition(
                next_offset, incarnation, None if text is None else Fingerprint.parse(text)
            )
            for partition, next_offset, incarnation, text in rows
            if partition in partitions
        }

    async def _confirm_ends(
        self, stored: Mapping[int, StoredPosition], bounds: Mapping[int, LogBounds]
    ) -> dict[int, LogBounds]:
        """Look again where a log seems to end before what was read of it; return what is different.

        The embedded broker understates its ends, and after a change of leader any broker may for a
        moment.
        """
        confirmed = {}
        for partition, known in stored.items():
            of_log = bounds[partition]
            other_log = self._incarnation not in {None, known.incarnation}
            if of_log.end >= known.next_offset or other_log:
                continue
            reaches = await self._consumer.reaches(partition, known.next_offset)
            if not reaches and self._incarnation is None:
                await trio.sleep(_SHRUNK_RECHECK_S)
                reaches = await self._consumer.reaches(partition, known.next_offset)
            if reaches:
                confirmed[partition] = attrs.evolve(of_log, end=known.next_offset)
        return confirmed

    async def _examine(
        self, partition: int, stored: StoredPosition | None, bounds: LogBounds
    ) -> Witness | None:
        offset = None if self._incarnation else find_witness_offset(stored, bounds)
        if offset is None:
            return None
        assert stored is not None
        record = await self._consumer.read_one(partition, offset)
        if record is None or record.offset != offset:
            return Witness.GONE
        return Witness.SAME if _fingerprint(record) == stored.fingerprint else Witness.OTHER

    def _to_states(
        self, starts: Mapping[int, Start], stored: Mapping[int, StoredPosition]
    ) -> dict[int, PartitionState]:
        new_incarnation = self._incarnation or uuid.uuid4().hex
        states = {}
        for partition, start in starts.items():
            if start.verdict in {Verdict.FIRST, Verdict.REPLACED}:
                states[partition] = PartitionState(start.offset, new_incarnation, None)
            else:
                known = stored[partition]
                states[partition] = PartitionState(
                    start.offset, known.incarnation, known.fingerprint
                )
        return states

    def _report(self, starts: Mapping[int, Start]) -> None:
        by_verdict: dict[Verdict, list[int]] = {}
        for partition, start in starts.items():
            by_verdict.setdefault(start.verdict, []).append(partition)
        if contradicting := by_verdict.get(Verdict.CONTRADICTION):
            raise BackendUnavailableError(
                "kafka", f"partitions {contradicting} are shorter than what was read of them"
            )
        if replaced := by_verdict.get(Verdict.REPLACED):
            metrics.INTAKE_INCARNATION_CHANGES.inc()
            logger.warning(
                "another log than before is read from its beginning",
                extra={"topic": self._topic, "partitions": replaced},
            )
        if gaps := by_verdict.get(Verdict.GAP):
            skipped = {partition: starts[partition].skipped for partition in gaps}
            metrics.INTAKE_SKIPPED.inc(sum(skipped.values()))
            logger.error(
                "messages were deleted by the broker before they were read",
                extra={"topic": self._topic, "skipped": skipped},
            )

    async def _watch(self) -> None:
        """Look after the broker and the progress, once a second."""
        parts, consumer = self._parts, self._consumer
        while True:
            await trio.sleep(_WATCH_INTERVAL_S)
            held = dict(parts.committer.next_offsets)
            if self._doubt is not None or not self.located or consumer.assigned is None:
                continue
            # The client hides from its caller that a broker is gone; this question does not.
            ends = await consumer.read_ends(consumer.assigned)
            progress = parts.status.saw_ends(ends)
            if any(ends.get(partition, offset) < offset for partition, offset in held.items()):
                self._doubt = "the log became shorter"
            elif parts.group_id is None and consumer.known_partitions - held.keys():
                self._doubt = "partitions were added"
            elif progress.stuck and not parts.committer.busy:
                assert self._located_at_s is not None
                if trio.current_time() - self._located_at_s > parts.config.stuck_after_s:
                    raise BackendUnavailableError("kafka", "messages wait and none comes")
            if parts.group_id is not None:
                await self._publish_offsets(held)

    async def _publish_offsets(self, held: Mapping[int, int]) -> None:
        try:
            await self._consumer.publish_offsets(held)
        except BackendUnavailableError as error:
            # Only those who look on from outside miss it.
            logger.debug("offsets not published", extra={"detail": str(error)})


def _fingerprint(record: Any) -> Fingerprint:
    return Fingerprint.of(record.offset, record.timestamp, record.key, record.value)
