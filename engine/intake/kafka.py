"""The Kafka client, used from Trio. The one module that imports aiokafka and trio-asyncio.

Two flavours of `async` meet here. Every public function and method is Trio flavour. Those named
`_aio_…` are asyncio flavour: they run within `_call`, and only there; they call other asyncio code
and never Trio. A failure of the client or the broker leaves this module as one of our own errors.
"""

import asyncio
import logging
import struct
import time
import zlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiokafka
import aiokafka.admin
import aiokafka.errors
import attrs
import trio
import trio_asyncio

from engine.backends.kafka_probe import load_tls_context
from engine.config import KafkaConfig
from engine.errors import BackendUnavailableError, ResourceExhaustedError, TrellisError
from engine.intake.broker import Broker
from engine.intake.client_log import thin_client_log
from engine.intake.position import LogBounds

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CALL_TIMEOUT_S = 5.0
"""For one question to the broker. A live one answers in milliseconds, behind a fetch in 0.3 s."""
_START_TIMEOUT_S = 15.0
_START_PATIENCE_S = 1.0
_STOP_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_MS = 10_000
_METADATA_AGE_MS = 10_000
"""How soon partitions that were added to a topic are noticed."""
_FETCH_BYTES = 8 * 1024**2
_PARTITION_FETCH_BYTES = 1024**2
"""Read ahead at most per request and per partition. A larger message still comes, alone."""
_EMBEDDED_FETCH_WAIT_MS = 20
"""The embedded broker looks for new records only a few times per wait: 500 ms would delay each by
130 ms, 20 ms delays them by 5 and costs 4 % of a core."""
_FETCH_WAIT_MS = 250
_REBALANCE_TIMEOUT_MS = 60_000
"""How long a rebalance waits for this member to settle what it has in flight."""
_FRESH_FETCH_MS = 2_000
_PRODUCER_BATCH_BYTES = 256 * 1024
_MAX_REPLICAS = 3
"""Of a topic we create, if there are as many brokers. The client cannot ask for the default."""
_MAX_REQUEST_BYTES = 128 * 1024**2
"""What the broker accepts is the broker's to say; the client's own limit stays out of the way."""

_CLIENT_FAILURES = (
    aiokafka.errors.KafkaError,
    aiokafka.errors.ConsumerStoppedError,
    aiokafka.errors.IllegalOperation,
    OSError,
    TimeoutError,
    # A broker whose answer the client does not understand shows as one of these.
    AssertionError,
    EOFError,
    LookupError,
    TypeError,
    UnicodeDecodeError,
    ValueError,
    struct.error,
)


class PositionLostError(TrellisError):
    """The broker no longer has the offset that was asked for."""


class MessageRefusedError(ResourceExhaustedError):
    """The broker does not take a message of this size."""


class _Refused(aiokafka.errors.KafkaError):  # type: ignore[misc]
    """Carries a broker's refusal out of asyncio code."""


@attrs.frozen
class KafkaRecord:
    """A message to send."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


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


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Provide the asyncio loop that the other functions of this module run on.

    They may be called by any task that was started within the block.
    """
    thin_client_log()
    async with trio_asyncio.open_loop() as loop:
        # The default handler would end the engine for a failure in some task of the client's.
        loop.set_exception_handler(_log_stray_failure)
        yield


def _log_stray_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    logger.warning(
        "kafka client failure",
        extra={"detail": f"{context.get('message')}: {context.get('exception')!r}"},
    )


async def _call(
    function: Callable[..., Awaitable[T]], *args: Any, timeout_s: float = _CALL_TIMEOUT_S
) -> T:
    """Run an asyncio-flavoured function from Trio and map its errors.

    Raises:
      BackendUnavailableError, PositionLostError, MessageRefusedError.
    Cancellation: the asyncio task is cancelled and awaited.
    """
    try:
        with trio.fail_after(timeout_s):
            result: T = await trio_asyncio.aio_as_trio(function)(*args)
            return result
    except trio.TooSlowError:
        raise BackendUnavailableError("kafka", f"no answer within {timeout_s:g} s") from None
    except asyncio.CancelledError as error:
        # Not ours, which would be trio.Cancelled: the client gave up one of its own tasks.
        raise BackendUnavailableError("kafka", "the client gave up") from error
    except (
        aiokafka.errors.OffsetOutOfRangeError,
        aiokafka.errors.NoOffsetForPartitionError,
    ) as error:
        raise PositionLostError(_describe(error)) from error
    except (aiokafka.errors.MessageSizeTooLargeError, aiokafka.errors.RecordListTooLargeError) as e:
        raise MessageRefusedError(f"the broker refuses a message of this size: {e}") from e
    except _CLIENT_FAILURES as error:
        raise BackendUnavailableError("kafka", _describe(error)) from error


def _describe(error: BaseException) -> str:
    text = str(error)
    name = type(error).__name__
    return text if name in text else f"{name}: {text}" if text else name


async def _start(start: Callable[[], Awaitable[None]]) -> None:
    """Trio flavour. Start a client.

    Raises: as `_call`.
    Cancellation: delayed a little, since a client that is cancelled while it connects loses sight
      of its socket and never closes it.
    """
    failure: TrellisError | None = BackendUnavailableError("kafka", "given up while connecting")
    async with trio.open_nursery() as nursery:
        with trio.CancelScope(shield=True) as patience:
            nursery.start_soon(_shorten_when_cancelled, patience)
            try:
                await _call(start, timeout_s=_START_TIMEOUT_S)
                failure = None
            except TrellisError as error:
                # Raised outside the nursery, which would wrap it in a group.
                failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _shorten_when_cancelled(patience: trio.CancelScope) -> None:
    try:
        await trio.sleep_forever()
    finally:
        patience.deadline = trio.current_time() + _START_PATIENCE_S


async def _stop(stop: Callable[[], Awaitable[None]]) -> None:
    """Trio flavour. Stop a client whatever state it is in, even half started; give up in time."""
    with trio.CancelScope(shield=True):
        try:
            await _call(stop, timeout_s=_STOP_TIMEOUT_S)
        except TrellisError as error:
            logger.info("kafka client stopped badly", extra={"detail": str(error)})


async def _connection_options(config: KafkaConfig, bootstrap_servers: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers,
        "client_id": "trellis",
        "request_timeout_ms": _REQUEST_TIMEOUT_MS,
        "metadata_max_age_ms": _METADATA_AGE_MS,
        # Each closed connection costs a check that the log is still the same one.
        "connections_max_idle_ms": None,
        "security_protocol": config.security_protocol,
        "ssl_context": await trio.to_thread.run_sync(load_tls_context, config),
    }
    if config.security_protocol.startswith("SASL_"):
        password = config.sasl_password
        options |= {
            "sasl_mechanism": config.sasl_mechanism,
            "sasl_plain_username": config.sasl_username,
            "sasl_plain_password": None if password is None else password.reveal(),
        }
    return options


async def prepare_topics(
    config: KafkaConfig, broker: Broker, topics: Mapping[str, int]
) -> tuple[int, ...]:
    """Create the topics that do not exist, over a connection made for it.

    Args:
      topics: number of partitions by name; the configured topic is one of them.
    Returns: the partitions of the configured topic.
    Raises:
      BackendUnavailableError: no answer, or the broker does not let us create a missing topic.
    """
    async with _open_admin(config, broker) as admin:
        return await _call(_aio_prepare, admin, topics, config.topic)


async def read_cluster_id(config: KafkaConfig, broker: Broker) -> str | None:
    """Ask the broker for its cluster's id, over a connection made for the question.

    Raises:
      BackendUnavailableError: no answer.
    """
    async with _open_admin(config, broker) as admin:
        cluster: dict[str, Any] = await _call(admin.describe_cluster)
    return cluster.get("cluster_id")


@asynccontextmanager
async def _open_admin(config: KafkaConfig, broker: Broker) -> AsyncIterator[Any]:
    options = await _connection_options(config, broker.bootstrap_servers)

    async def create() -> Any:  # asyncio flavour: the client takes hold of the running loop
        return aiokafka.admin.AIOKafkaAdminClient(**options)

    admin = await _call(create)
    try:
        await _start(admin.start)
        yield admin
    finally:
        await _stop(admin.close)


async def _aio_prepare(admin: Any, topics: Mapping[str, int], topic: str) -> tuple[int, ...]:
    # All topics are listed: naming one that is missing makes some brokers create it their way.
    found = {description["topic"]: description for description in await admin.describe_topics()}
    if missing := [name for name in topics if name not in found]:
        await _aio_create(admin, {name: topics[name] for name in missing})
        found |= {d["topic"]: d for d in await admin.describe_topics([topic])}
    partitions = found[topic]["partitions"]
    if not partitions:
        raise _Refused(f"topic {topic} has no partitions yet, or it may not be read")
    return tuple(sorted(partition["partition"] for partition in partitions))


async def _aio_create(admin: Any, topics: Mapping[str, int]) -> None:
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = max(min(brokers, _MAX_REPLICAS), 1)
    response = await admin.create_topics(
        [aiokafka.admin.NewTopic(name, count, replicas) for name, count in topics.items()]
    )
    for name, code, message in response.topic_errors:
        error = aiokafka.errors.for_code(code)
        if code == 0:
            logger.info("kafka topic created", extra={"topic": name, "partitions": topics[name]})
        elif error is not aiokafka.errors.TopicAlreadyExistsError:
            raise _Refused(
                f"topic {name} does not exist and cannot be created "
                f"({message or error.__name__}); create it, or allow it to be created"
            )


class Consumer:
    """Reads one topic. Made by `open_consumer`.

    `assignment` counts changes of the assignment: what was polled under one number says nothing of
    the partitions held under another.
    """

    def __init__(self, client: Any, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._assigned: tuple[int, ...] | None = None
        self._assignment = 0

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
        await _call(self._aio_assign, positions)

    async def seek(self, positions: Mapping[int, int]) -> None:
        """Go on reading from these offsets; what was read ahead is dropped.

        Raises:
          BackendUnavailableError: a partition is no longer assigned.
        """
        await _call(self._aio_seek, positions)

    async def wait_assigned(self) -> None:
        """Wait for the group to assign partitions, which may take seconds.

        Raises:
          BackendUnavailableError: the group does not take us, or the client failed.
        """
        await _call(self._aio_wait_assigned, timeout_s=float("inf"))

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
        return await _call(
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
        return await _call(self._aio_read_one, partition, offset)

    async def read_bounds(self, partitions: Iterable[int]) -> dict[int, LogBounds]:
        """Ask the broker which offsets the partitions hold.

        Raises:
          BackendUnavailableError: no answer.
        """
        return await _call(self._aio_read_bounds, [self._at(number) for number in partitions])

    async def read_ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ask the broker where the readable part of the partitions ends.

        Raises:
          BackendUnavailableError: no answer.
        """
        return await _call(self._aio_read_ends, [self._at(number) for number in partitions])

    async def reaches(self, partition: int, offset: int) -> bool:
        """True if the log ends at this offset or after it, by the word of a fetch from there.

        The embedded broker, asked for the end, tells that of the last batch's first record. Moves
        the partition's position.
        Raises:
          BackendUnavailableError: no answer.
        """
        return await _call(self._aio_reaches, self._at(partition), offset)

    async def publish_offsets(self, next_offsets: Mapping[int, int]) -> None:
        """Tell the group's coordinator what was committed, for those who watch lag from outside.

        Raises:
          BackendUnavailableError: the coordinator did not take it. Nothing depends on it.
        """
        offsets = {self._at(partition): offset for partition, offset in next_offsets.items()}
        await _call(self._client.commit, offsets)

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
                await self._client.getmany(timeout_ms=100)
            except aiokafka.errors.NoOffsetForPartitionError:
                await asyncio.sleep(0.01)

    async def _aio_poll(self, assignment: int, timeout_ms: int, max_records: int) -> Polled:
        # Without a position a partition would make us wait for one, so none is asked for under an
        # assignment that nobody has set positions for. With positions nothing below suspends but
        # `getmany`, so that what is noted before and after belongs to its records.
        before = await self._aio_positions(assignment)
        batches = await self._client.getmany(timeout_ms=timeout_ms, max_records=max_records)
        records = {tp.partition: batch for tp, batch in batches.items()}
        after = await self._aio_positions(assignment)
        return Polled(records, before, after, self._assignment, self.connections)

    async def _aio_positions(self, assignment: int) -> dict[int, int]:
        if assignment != self._assignment or self._assigned is None:
            return {}
        held = self._client.assignment()
        return {
            number: await self._client.position(self._at(number))
            for number in self._assigned
            if self._at(number) in held
        }

    async def _aio_read_one(self, partition: int, offset: int) -> Any | None:
        tp = self._at(partition)
        self._client.seek(tp, offset)
        while True:
            batches = await self._client.getmany(tp, timeout_ms=200, max_records=1)
            if batches:
                return batches[tp][0]
            # Past the offset without a record: what was there are markers, or it was compacted.
            if await self._client.position(tp) > offset:
                return None

    async def _aio_read_bounds(self, tps: list[Any]) -> dict[int, LogBounds]:
        starts = await self._client.beginning_offsets(tps)
        ends = await self._client.end_offsets(tps)
        return {tp.partition: LogBounds(starts[tp], ends[tp]) for tp in tps}

    async def _aio_read_ends(self, tps: list[Any]) -> dict[int, int]:
        ends = await self._client.end_offsets(tps)
        since_ms = time.time() * 1000 - _FRESH_FETCH_MS
        return {tp.partition: max(ends[tp], self._fetched_end(tp, since_ms)) for tp in tps}

    async def _aio_reaches(self, tp: Any, offset: int) -> bool:
        since_ms = int(time.time() * 1000)
        self._client.seek(tp, offset)
        while True:
            try:
                records = await self._client.getmany(tp, timeout_ms=50, max_records=1)
            except aiokafka.errors.OffsetOutOfRangeError:
                return False
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
            await trio_asyncio.trio_as_aio(self._before_revoked)()

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
    options = await _connection_options(config, broker.bootstrap_servers)

    async def create() -> Any:  # asyncio flavour: the client takes hold of the running loop
        return aiokafka.AIOKafkaConsumer(
            **options,
            group_id=group_id,
            # Positions come from the data file, and a position that is lost must not go unnoticed.
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=_EMBEDDED_FETCH_WAIT_MS if broker.embedded else _FETCH_WAIT_MS,
            fetch_max_bytes=_FETCH_BYTES,
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
            rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
        )

    client = await _call(create)
    consumer = Consumer(client, config.topic)
    try:
        await _start(client.start)
        if group_id is not None:
            listener = _RebalanceListener(consumer._replace_assignment, before_revoked)
            client.subscribe([config.topic], listener=listener)
        yield consumer
    finally:
        await _stop(client.stop)


class Producer:
    """Sends messages; each call returns once every replica that is in sync has them.

    At least once: what the client sends again after a lost answer may arrive twice, since the
    embedded broker knows no idempotent producers. Made by `open_producer`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send_many(
        self, topic: str, values: Sequence[bytes], keys: Sequence[bytes] | None = None
    ) -> None:
        """Send many messages, batched by partition; fast.

        Args:
          keys: one a message; messages of one key go to one partition, in order. Without keys the
            messages are spread evenly.
        Raises:
          BackendUnavailableError: some may have been sent, some not.
          MessageRefusedError: a message is too large for the broker.
        """
        await _call(
            self._aio_send_many, topic, values, keys, timeout_s=_REQUEST_TIMEOUT_MS / 1000 + 5
        )

    async def send_each(self, topic: str, records: Sequence[KafkaRecord]) -> list[bool]:
        """Send records with their headers.

        Returns: for each, whether it was sent; False means the broker refuses its size.
        Raises:
          BackendUnavailableError: some may have been sent, some not.
        """
        return await _call(
            self._aio_send_each, topic, records, timeout_s=_REQUEST_TIMEOUT_MS / 1000 + 5
        )

    async def _aio_send_many(
        self, topic: str, values: Sequence[bytes], keys: Sequence[bytes] | None
    ) -> None:
        partitions = sorted(await self._client.partitions_for(topic))
        shares: list[list[int]] = [[] for _ in partitions]
        for index in range(len(values)):
            spread_by = index if keys is None else zlib.crc32(keys[index])
            shares[spread_by % len(partitions)].append(index)
        sent: list[Any] = []
        try:
            for partition, share in zip(partitions, shares, strict=True):
                messages = [(None if keys is None else keys[i], values[i]) for i in share]
                for batch in self._fill_batches(messages):
                    future = await self._client.send_batch(batch, topic, partition=partition)
                    sent.append(future)
        finally:
            # Also if one fails: when this is over nothing is under way any more.
            results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _fill_batches(self, messages: Sequence[tuple[bytes | None, bytes]]) -> Iterator[Any]:
        batch = self._client.create_batch()
        for key, value in messages:
            if batch.append(key=key, value=value, timestamp=None) is None:
                batch.close()
                yield batch
                batch = self._client.create_batch()
                # The first message of a batch always fits, whatever its size.
                batch.append(key=key, value=value, timestamp=None)
        if batch.record_count():
            batch.close()
            yield batch

    async def _aio_send_each(self, topic: str, records: Sequence[KafkaRecord]) -> list[bool]:
        futures = [
            await self._client.send(topic, value=r.value, key=r.key, headers=list(r.headers))
            for r in records
        ]
        results = await asyncio.gather(*futures, return_exceptions=True)
        refused = aiokafka.errors.MessageSizeTooLargeError, aiokafka.errors.RecordListTooLargeError
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, refused):
                raise result
        return [not isinstance(result, refused) for result in results]


@asynccontextmanager
async def open_producer(config: KafkaConfig, broker: Broker) -> AsyncIterator[Producer]:
    """Connect a producer. Needs an `open_bridge` around it.

    Raises:
      BackendUnavailableError: the broker does not answer or refuses us.
    Cancellation: the client is stopped, within seconds; what was not acknowledged may be lost.
    """
    options = await _connection_options(config, broker.bootstrap_servers)

    async def create() -> Any:  # asyncio flavour: the client takes hold of the running loop
        return aiokafka.AIOKafkaProducer(
            **options,
            acks="all",
            linger_ms=0,
            max_batch_size=_PRODUCER_BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
        )

    client = await _call(create)
    try:
        await _start(client.start)
        yield Producer(client)
    finally:
        await _stop(client.stop)
