"""Finding where to go on reading: the stored positions, held against the log the broker has now."""

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import trio

from engine import metrics
from engine.config import KafkaConfig
from engine.errors import BackendUnavailableError
from engine.intake.broker import Broker
from engine.intake.committer import Committer, PartitionState
from engine.intake.kafka import Consumer, read_cluster_id
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
from engine.intake.validation import Rules
from engine.store.queries import load_queries
from engine.store.reader import Reader

logger = logging.getLogger(__name__)

_SHRUNK_RECHECK_S = 1.0
"""After a change of leader a log may seem shorter for a moment."""

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


@attrs.frozen
class Located:
    """Positions that were set, and what they hold for: nothing of it may change."""

    states: Mapping[int, PartitionState]
    assignment: int
    connections: tuple[Any, ...]
    incarnation: str | None


class Locator:
    """Sets a consumer's positions. One for each consumer."""

    def __init__(self, parts: IntakeParts, consumer: Consumer) -> None:
        self._parts = parts
        self._consumer = consumer
        self._topic = parts.config.topic
        self._incarnation: str | None = None

    async def locate(self) -> Located:
        """Find out where to go on, and that it is still the same log, then start there.

        Raises:
          BackendUnavailableError: no answer, or the broker contradicts itself.
          StoreError: the stored positions cannot be read.
        """
        parts, consumer = self._parts, self._consumer
        # Until the batch under way has landed or failed, what is stored may still change.
        await parts.committer.settle()
        self._incarnation = parts.broker.incarnation
        if parts.broker.embedded and self._incarnation is None:
            raise BackendUnavailableError("kafka", "the embedded broker has not started yet")
        partitions = await parts.topics.prepare()
        assignment = consumer.assignment
        if parts.group_id is not None:
            assignment, partitions = await self._await_assignment()
        bounds = await consumer.read_bounds(partitions)
        # These connections lead to the log that is examined from here on.
        connections = consumer.connections
        await self._check_incarnation()
        stored = await self._read_stored(partitions)
        beginnings = {partition: of_log.start for partition, of_log in bounds.items()}
        if parts.group_id is None:
            await consumer.assign(beginnings)
            assignment = consumer.assignment
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
        next_offsets = {partition: start.offset for partition, start in starts.items()}
        await consumer.seek(next_offsets)
        parts.committer.hold(next_offsets)
        parts.status.consuming({partition: bounds[partition].end for partition in partitions})
        states = self._to_states(starts, stored)
        return Located(states, assignment, connections, self._incarnation)

    async def _await_assignment(self) -> tuple[int, tuple[int, ...]]:
        group_id = self._parts.group_id
        while True:
            assignment = self._consumer.assignment
            if (assigned := self._consumer.assigned) is not None:
                return assignment, assigned
            self._parts.status.waiting(f"waiting for group {group_id} to assign partitions")
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

        After a change of leader a broker may understate its ends for a moment.
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
        return Witness.SAME if compute_fingerprint(record) == stored.fingerprint else Witness.OTHER

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


def compute_fingerprint(record: Any) -> Fingerprint:
    """Return the fingerprint of an aiokafka ConsumerRecord."""
    return Fingerprint.of(record.offset, record.timestamp, record.key, record.value)
