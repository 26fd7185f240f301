"""Consuming over one connection to the broker, from finding the positions to its first failure.

Exactly once rests on three rules. The data file says where to go on, and it is asked only when no
batch is under way. Batches land one after the other, offsets in the same transaction as rows. And a
record counts only if nothing has changed since the positions were set: not the assignment, not the
log, not the position itself.
"""

import logging
import math
from collections.abc import Mapping
from typing import Any

import trio

from engine.errors import BackendUnavailableError
from engine.intake.committer import Batch, PartitionState
from engine.intake.kafka import Consumer, Polled, PositionLostError, same_connections
from engine.intake.locate import IntakeParts, Located, Locator, compute_fingerprint
from engine.intake.rejection import Reason, Rejected
from engine.intake.unreadable import UnreadableBatches
from engine.intake.validation import decode_batch

logger = logging.getLogger(__name__)

_POLL_RECORDS = 500
"""Other tasks wait while so many are unpacked and decoded, 2 ms. Half as many cost a tenth more."""
_IDLE_POLL_S = 0.5
_BATCH_BYTES = 8 * 1024**2
_SMALL_BATCH_ROWS = 50
_REST_S = 0.05
"""From a small batch on, while more gathers: a commit costs the same whatever is in it, so that two
hundred events a second, each committed as soon as it can be, took most of a core."""
WATCH_INTERVAL_S = 1.0
_RESTLESS_S = 1.0
"""Positions that are lost again within this time call for a new connection and its back-off."""

_ASSIGNMENT_CHANGED = "assignment changed"


class Session:
    """One consumer's life. Make another one after a failure."""

    def __init__(self, parts: IntakeParts, consumer: Consumer) -> None:
        self._parts = parts
        self._consumer = consumer
        self._locator = Locator(parts, consumer)
        self._topic = parts.config.topic
        self._batch = Batch(self._topic)
        self._located: Located | None = None
        self._located_at_s = -math.inf
        self._states: dict[int, PartitionState] = {}
        self._unreadable = UnreadableBatches()
        self._published: Mapping[int, int] = {}
        self._doubt: str | None = None
        """Why positions must be found again; None while they hold."""

    @property
    def located(self) -> bool:
        """True once positions were found: the broker is there and can be consumed from."""
        return self._located is not None

    async def run(self) -> None:
        """Consume until something fails.

        Raises:
          BackendUnavailableError: the broker is gone, refuses us, or contradicts itself.
          TrellisError: a batch could not be committed.
        Cancellation: what is with the writer will be written, the rest is dropped.
        """
        async with trio.open_nursery() as nursery:
            located = await self._locate()
            nursery.start_soon(self._watch)
            while True:
                if self._consumer.assignment != located.assignment:
                    self._doubt = _ASSIGNMENT_CHANGED
                if self._doubt is not None:
                    self._check_restlessness(self._doubt)
                    located = await self._locate()
                await self._step(located)

    async def _locate(self) -> Located:
        self._batch = Batch(self._topic)
        located = await self._locator.locate()
        self._located = located
        self._located_at_s = trio.current_time()
        self._states = dict(located.states)
        # Whatever was doubted is answered; what is true of the new positions too will show again.
        self._doubt = None
        return located

    def _check_restlessness(self, doubt: str) -> None:
        since_s = trio.current_time() - self._located_at_s
        if since_s < _RESTLESS_S and doubt != _ASSIGNMENT_CHANGED:
            raise BackendUnavailableError("kafka", doubt)

    async def _step(self, located: Located) -> None:
        """Poll once, and commit or wait when it is time to."""
        committer = self._parts.committer
        if self._batch.states and not committer.busy:
            batch, self._batch = self._batch, Batch(self._topic)
            committer.start(batch, self._parts.clock_us())
            if batch.row_count < _SMALL_BATCH_ROWS:
                await trio.sleep(_REST_S)
        try:
            polled = await self._consumer.poll(
                located.assignment,
                timeout_s=0.0 if self._batch.states else _IDLE_POLL_S,
                max_records=_POLL_RECORDS,
            )
        except PositionLostError as error:
            self._doubt = str(error)
            return
        self._doubt = self._doubt or self._find_doubt(polled, located)
        if self._doubt is not None:
            return
        moved = await self._take(polled)
        for partition, cause in polled.unreadable.items():
            moved |= await self._face_unreadable(partition, cause, located)
            if self._doubt is not None:
                return
        self._parts.status.hindered(self._unreadable.describe())
        full = (
            self._batch.row_count >= self._parts.config.batch_rows
            or self._batch.size_bytes >= _BATCH_BYTES
        )
        if self._batch.states and (full or not moved):
            await committer.wait_idle()

    def _find_doubt(self, polled: Polled, located: Located) -> str | None:
        """Return why the records cannot be taken for the continuation of what was read."""
        changed = self._find_change(polled.assignment, polled.connections, located)
        if changed is not None:
            return changed
        expected = {number: state.next_offset for number, state in self._states.items()}
        if polled.before != expected:
            return f"positions moved: {dict(polled.before)} instead of {expected}"
        return None

    def _find_change(
        self, assignment: int, connections: tuple[Any, ...], located: Located
    ) -> str | None:
        """Return why what a consumer says now may be of other partitions or another log."""
        if assignment != located.assignment:
            return _ASSIGNMENT_CHANGED
        if not same_connections(connections, located.connections):
            return "connection to the broker replaced"
        if self._parts.broker.incarnation != located.incarnation:
            return "broker restarted"
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
                fingerprint = compute_fingerprint(records[-1])
                await trio.lowlevel.checkpoint()
            # Past the last record there may be marks of transactions, which are no records.
            state = PartitionState(next_offset, state.incarnation, fingerprint)
            self._advance(partition, state)
        return moved

    def _advance(self, partition: int, state: PartitionState) -> None:
        self._states[partition] = state
        self._batch.advance(partition, state)
        self._unreadable.move(partition)

    async def _face_unreadable(self, partition: int, cause: str, located: Located) -> bool:
        """Give up what stands at a partition's position, if it has failed for long enough.

        Returns: whether the partition moved.
        """
        state = self._states[partition]
        offset = state.next_offset
        if not self._unreadable.fail(trio.current_time(), partition, offset, cause):
            return False
        # Not on the client's word alone: what its reading of the same bytes anew takes is kept.
        damage = await self._consumer.read_damage(partition, offset)
        if damage is None:
            raise BackendUnavailableError(
                "kafka", f"partition {partition} cannot be read at offset {offset}: {cause}"
            )
        await self._consumer.seek({partition: damage.next_offset})
        consumer = self._consumer
        self._doubt = self._find_change(consumer.assignment, consumer.connections, located)
        if self._doubt is not None:
            return False
        detail = (
            f"offsets {offset} to {damage.next_offset - 1} cannot be unpacked: {damage.cause}; "
            "their messages must be sent again"
        )
        logger.error(
            "batch given up",
            extra={"topic": self._topic, "partition": partition, "detail": detail},
        )
        rejected = Rejected(offset, damage.content, Reason.UNREADABLE_BATCH, detail)
        self._batch.add_rejected(partition, [rejected], state.incarnation, self._parts.clock_us())
        self._advance(
            partition, PartitionState(damage.next_offset, state.incarnation, state.fingerprint)
        )
        return True

    async def _watch(self) -> None:
        """Look after the broker and the progress, once a second."""
        parts, consumer = self._parts, self._consumer
        while True:
            await trio.sleep(WATCH_INTERVAL_S)
            held = dict(parts.committer.next_offsets)
            if consumer.assigned is None:
                continue
            # The client hides from its caller that a broker is gone; this question does not.
            ends = await consumer.read_ends(consumer.assigned)
            progress = parts.status.saw_ends(ends)
            if self._doubt is not None:
                continue
            if any(ends.get(partition, offset) < offset for partition, offset in held.items()):
                self._doubt = "the log became shorter"
            elif parts.group_id is None and consumer.known_partitions - held.keys():
                self._doubt = "partitions were added"
            elif progress.stuck and not parts.committer.busy and self._had_time():
                raise BackendUnavailableError("kafka", "messages wait and none comes")
            if parts.group_id is not None and held != self._published:
                await self._publish_offsets(held)

    def _had_time(self) -> bool:
        """True if this consumer, too, had the time after which consumption counts as stuck."""
        return trio.current_time() - self._located_at_s > self._parts.config.stuck_after_s

    async def _publish_offsets(self, held: Mapping[int, int]) -> None:
        try:
            await self._consumer.publish_offsets(held)
            self._published = held
        except BackendUnavailableError as error:
            # Only those who look on from outside miss it.
            logger.debug("offsets not published", extra={"detail": str(error)})
