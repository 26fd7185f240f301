"""Reading a topic."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
import aiokafka.client
import aiokafka.errors
import attrs

from engine.config import KafkaConfig
from engine.intake.broker import Broker
from engine.intake.kafka.bridge import (
    aio_ask,
    aio_call_back,
    call,
    call_client,
    connection_options,
    create_client,
    start_client,
    stop_client,
)
from engine.intake.kafka.careful import CarefulRead, CarefulReader, UnreadableRecordsError, aio_get
from engine.intake.kafka.damage import Damage, aio_read_damage
from engine.intake.kafka.pace import FetchPace
from engine.intake.kafka.raw import aio_fetch_raw
from engine.intake.position import LogBounds

_FETCH_BYTES = 8 * 1024**2
_PARTITION_FETCH_BYTES = 1024**2
"""Read ahead at most per request and per partition. A larger message still comes, alone."""
_REBALANCE_TIMEOUT_MS = 60_000
"""How long a rebalance waits for this member to settle what it has in flight."""
_FRESH_FETCH_MS = 2_000
"""A fetch within this time tells where the log ends now."""


@attrs.frozen
class Polled:
    """What one poll of a consumer brought."""

    records: Mapping[int, Sequence[Any]]
    """aiokafka's ConsumerRecord by partition, in offset order."""
    before: Mapping[int, int]
    """Position of each partition before the poll."""
    after: Mapping[int, int]
    """Position of each partition after it: past records and whatever else the log holds."""
    assignment: int
    connections: tuple[Any, ...]
    unreadable: Mapping[int, str]
    """Why what stands at the position after the poll could not be unpacked, by partition. It is
    fetched again by polls some time later, also if it failed before."""


class Consumer:
    """Reads one topic. Made by `open_consumer`.

    `assignment` counts changes of the assignment: what was polled under one number says nothing of
    the partitions held under another.
    """

    def __init__(self, client: Any, topic: str, pace: FetchPace) -> None:
        self._client = client
        self._topic = topic
        self._pace = pace
        self._assigned: tuple[int, ...] | None = None
        self._assignment = 0
        self._careful = CarefulReader(client)

    @property
    def assignment(self) -> int:
        return self._assignment

    @property
    def assigned(self) -> tuple[int, ...] | None:
        """The partitions held, ascending; None while a group has not assigned any, or anew."""
        return self._assigned

    @property
    def known_partitions(self) -> frozenset[int]:
        """The topic's partitions as of the last refresh of metadata."""
        return frozenset(self._client.partitions_for_topic(self._topic) or ())

    @property
    def connections(self) -> tuple[Any, ...]:
        """The connections to brokers, to be compared with `same_connections`.

        A broker that restarts, and with it perhaps its log, closes its connections. The client
        opens new ones without a word, so they are looked up where it keeps them.
        """
        held = self._client._client._conns
        return tuple(
            held[key] for key in sorted(held, key=str) if key[0] != "bootstrap" and _fetches(key)
        )

    async def assign(self, positions: Mapping[int, int]) -> None:
        """Take these partitions, from these offsets on. Not for a consumer in a group."""
        await call(self._aio_assign, positions)

    async def seek(self, positions: Mapping[int, int]) -> None:
        """Go on reading from these offsets; what was read ahead is dropped.

        Raises:
          BackendUnavailableError: a partition is no longer assigned.
        """
        await call(self._aio_seek, positions)

    async def wait_assigned(self) -> None:
        """Wait for the group to assign partitions, which may take seconds.

        Raises:
          BackendUnavailableError: the group does not take us, or the client failed.
        """
        await call(self._aio_wait_assigned, timeout_s=float("inf"))

    async def poll(self, assignment: int, *, timeout_s: float, max_records: int) -> Polled:
        """Return the records that have arrived, at the latest after `timeout_s`.

        Records come from the partitions' positions on. Empty may mean that nothing was sent or
        that the broker is gone; when a group takes the partitions away, it waits for others.
        Args:
          assignment: the number of the assignment for which all positions were set; under another
            one nothing is polled.
        Raises:
          PositionLostError: the broker no longer has the offset of a partition.
          BackendUnavailableError: the client failed.
        Cancellation: records may be lost to this consumer; make another one.
        """
        return await call(
            # A rebalance takes its time: no deadline of our own.
            self._aio_poll,
            assignment,
            round(timeout_s * 1000),
            max_records,
            timeout_s=float("inf"),
        )

    async def read_one(self, partition: int, offset: int) -> Any | None:
        """Return the first record at or after an offset, None if there is none up to the end.

        Moves the partition's position.
        Raises:
          BackendUnavailableError: nothing came although the log does not end there.
        """
        return await call(self._aio_read_one, partition, offset)

    async def read_damage(self, partition: int, offset: int) -> Damage | None:
        """Look at the bytes that stand at an offset which polls report as unreadable.

        Returns: the batch there, None if it is sound or there is none.
        Raises:
          BackendUnavailableError: no answer.
        """
        return await call(aio_read_damage, self._client._client, self._at(partition), offset)

    async def read_bounds(self, partitions: Iterable[int]) -> dict[int, LogBounds]:
        """Ask the broker which offsets the partitions hold.

        Raises:
          BackendUnavailableError: no answer.
        """
        return await call(self._aio_read_bounds, [self._at(number) for number in partitions])

    async def read_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ask the broker where the readable part of the partitions ends.

        Raises:
          BackendUnavailableError: no answer.
        """
        return await call(self._aio_read_ends, [self._at(number) for number in partitions])

    async def reaches(self, partition: int, offset: int) -> bool:
        """True if the log ends at this offset or after it, by the word of a fetch from there.

        Moves the partition's position.
        Raises:
          BackendUnavailableError: no answer.
        """
        return await call(self._aio_reaches, self._at(partition), offset)

    async def publish_offsets(self, next_offsets: Mapping[int, int]) -> None:
        """Tell the group's coordinator what was committed, for those who watch lag from outside.

        Raises:
          BackendUnavailableError: the coordinator did not take it. Nothing depends on it.
        """
        offsets = {self._at(partition): offset for partition, offset in next_offsets.items()}
        await call_client(self._client.commit, offsets)

    def _at(self, partition: int) -> Any:
        return aiokafka.TopicPartition(self._topic, partition)

    def _replace_assignment(self, partitions: Iterable[int] | None) -> None:
        self._assigned = None if partitions is None else tuple(sorted(partitions))
        self._assignment += 1

    async def _aio_assign(self, positions: Mapping[int, int]) -> None:
        self._client.assign([self._at(partition) for partition in positions])
        await self._aio_seek(positions)
        self._replace_assignment(positions)

    async def _aio_seek(self, positions: Mapping[int, int]) -> None:
        for partition, offset in positions.items():
            self._client.seek(self._at(partition), offset)

    async def _aio_wait_assigned(self) -> None:
        while self._assigned is None:
            try:
                # Shows the group's errors. Records are of no use before positions are set.
                await aio_get(self._client, timeout_ms=100, max_records=1)
            except (aiokafka.errors.NoOffsetForPartitionError, UnreadableRecordsError):
                await asyncio.sleep(0.01)

    async def _aio_poll(self, assignment: int, timeout_ms: int, max_records: int) -> Polled:
        # Without a position a partition would make us wait for one, so none is asked for under an
        # assignment that nobody has set positions for. With positions nothing below suspends but
        # `getmany`, so that what is noted before and after belongs to its records.
        before = await self._aio_positions(assignment)
        read = await self._aio_read(before, timeout_ms, max_records)
        self._pace.adjust(self._client, records_came=bool(read.records))
        after = await self._aio_positions(assignment)
        return Polled(
            read.records, before, after, self._assignment, self.connections, read.unreadable
        )

    async def _aio_read(
        self, positions: Mapping[int, int], timeout_ms: int, max_records: int
    ) -> CarefulRead:
        if self._careful.wanted:
            return await self._careful.aio_read(map(self._at, positions), timeout_ms, max_records)
        assignment = self._assignment
        try:
            batches = await aio_get(self._client, timeout_ms=timeout_ms, max_records=max_records)
        except UnreadableRecordsError:
            self._careful.begin()
            if assignment == self._assignment:
                await self._aio_seek(positions)
            return CarefulRead({}, {})
        return CarefulRead({tp.partition: batch for tp, batch in batches.items()}, {})

    async def _aio_positions(self, assignment: int) -> dict[int, int]:
        if assignment != self._assignment or self._assigned is None:
            return {}
        held = self._client.assignment()
        return {
            number: await aio_ask(self._client.position(self._at(number)))
            for number in self._assigned
            if self._at(number) in held
        }

    async def _aio_read_one(self, partition: int, offset: int) -> Any | None:
        tp = self._at(partition)
        self._client.seek(tp, offset)
        while True:
            try:
                batches = await aio_get(self._client, tp, timeout_ms=200, max_records=1)
            except UnreadableRecordsError:
                return None
            if batches:
                return batches[tp][0]
            # Past the offset without a record: what was there are markers, or it was compacted.
            if await aio_ask(self._client.position(tp)) > offset:
                return None

    async def _aio_read_bounds(self, tps: list[Any]) -> dict[int, LogBounds]:
        starts = await aio_ask(self._client.beginning_offsets(tps))
        ends = await self._aio_correct_ends(await aio_ask(self._client.end_offsets(tps)))
        return {tp.partition: LogBounds(starts[tp], ends[tp]) for tp in tps}

    async def _aio_read_ends(self, tps: list[Any]) -> dict[int, int]:
        since_ms = time.time() * 1000 - _FRESH_FETCH_MS
        fetched = {tp: self._fetched_end(tp, since_ms) for tp in tps}
        # Asked in any case: what was fetched does not tell that the broker is gone since.
        ends = await aio_ask(self._client.end_offsets(tps))
        old = {tp: ends[tp] for tp in tps if fetched[tp] < 0}
        fetched |= await self._aio_correct_ends(old)
        return {tp.partition: max(ends[tp], fetched[tp]) for tp in tps}

    async def _aio_correct_ends(self, told: Mapping[Any, int]) -> dict[Any, int]:
        """Fetch from the ends that were told.

        The embedded broker, asked for the end, tells that of the last batch's first record; that of
        a fetch is true.
        """
        fetched = await aio_fetch_raw(self._client._client, told, max_bytes=1)
        return {tp: max(end, fetched[tp].end) for tp, end in told.items()}

    async def _aio_reaches(self, tp: Any, offset: int) -> bool:
        since_ms = int(time.time() * 1000)
        self._client.seek(tp, offset)
        while True:
            try:
                records = await aio_get(self._client, tp, timeout_ms=50, max_records=1)
            except aiokafka.errors.OffsetOutOfRangeError:
                return False
            except UnreadableRecordsError:
                return True
            if records:
                return True
            if (end := self._fetched_end(tp, since_ms)) >= 0:
                return end >= offset

    def _fetched_end(self, tp: Any, since_ms: float) -> int:
        """Return the end that came with the last fetch, -1 if there was none since a time."""
        if tp not in self._client.assignment():
            return -1
        if (self._client.last_poll_timestamp(tp) or 0) < since_ms:
            return -1
        end = self._client.last_stable_offset(tp)
        return -1 if end is None else int(end)


def _fetches(key: tuple[Any, Any]) -> bool:
    """True of a connection that carries records, not the group's coordination."""
    return bool(key[1] is aiokafka.client.ConnectionGroup.DEFAULT)


def same_connections(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """True if none was closed, opened or replaced in between."""
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


class _RebalanceListener(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]
    """Both methods are asyncio flavour: the client calls them and waits for them."""

    def __init__(
        self,
        replace_assignment: Callable[[Iterable[int] | None], None],
        before_revoked: Callable[[], Awaitable[None]],
    ) -> None:
        self._replace_assignment = replace_assignment
        self._before_revoked = before_revoked

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._replace_assignment(None)
        if list(revoked):
            await aio_call_back(self._before_revoked)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._replace_assignment(tp.partition for tp in assigned)


@asynccontextmanager
async def open_consumer(
    config: KafkaConfig,
    broker: Broker,
    *,
    group_id: str | None,
    before_revoked: Callable[[], Awaitable[None]],
) -> AsyncIterator[Consumer]:
    """Connect a consumer to the configured topic, which must exist.

    Args:
      group_id: the group to join; None to be given partitions by `Consumer.assign`.
      before_revoked: Trio flavour; awaited before a group takes the partitions away. The group
        waits for it as long as a rebalance may take, a minute.
    Raises:
      BackendUnavailableError: the broker does not answer or refuses us.
    Cancellation: the client is stopped, within seconds.
    """
    options = await connection_options(config, broker.bootstrap_servers)
    pace = FetchPace(embedded=broker.embedded)
    options |= {
        "group_id": group_id,
        # Positions come from the data file, and a position that is lost must not go unnoticed.
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": pace.wait_ms,
        "fetch_max_bytes": _FETCH_BYTES,
        "max_partition_fetch_bytes": _PARTITION_FETCH_BYTES,
        "rebalance_timeout_ms": _REBALANCE_TIMEOUT_MS,
    }
    client = await create_client(aiokafka.AIOKafkaConsumer, options)
    consumer = Consumer(client, config.topic, pace)
    try:
        await start_client(client.start)
        if group_id is not None:
            listener = _RebalanceListener(consumer._replace_assignment, before_revoked)
            client.subscribe([config.topic], listener=listener)
        yield consumer
    finally:
        await stop_client(client.stop)
