"""Each message lands once, whatever is stopped, killed or replaced, and whenever."""

import random
import signal
import threading
import time

import pytest
import trio

from engine import metrics
from engine.config import KafkaConfig
from engine.errors import SchemaMismatchError
from engine.records import Receipt, WriteRequest
from engine.store.store import Store
from tests.integration.intake.brokers import MemoryBroker, RealBroker, create_topic, send
from tests.integration.intake.conftest import (
    fetch_users,
    make_event,
    make_events,
    running_intake,
    wait_rows,
    wait_until,
)
from tests.support.event_source import EventSource


@pytest.fixture
def seed() -> int:
    """Another one in each run, shown when the test fails."""
    number = random.SystemRandom().randrange(2**32)
    print(f"seed {number}")  # noqa: T201
    return number


async def wait_all_landed(store: Store, source: EventSource) -> None:
    sent = source.sent()
    await wait_rows(store, "events", sum(message.event is not None for message in sent))
    await wait_rows(store, "dead_letters", sum(message.event is None for message in sent))


async def assert_as_sent(store: Store, source: EventSource) -> None:
    """Compare with the producer's own record of what the broker acknowledged."""
    assert source.unacknowledged == 0
    sent = source.sent()
    for table, is_event in (("events", True), ("dead_letters", False)):
        rows = await store.reader.fetch_rows(
            f'SELECT partition, "offset" FROM {table} ORDER BY partition, "offset"'
        )
        assert rows == sorted(
            (message.partition, message.offset)
            for message in sent
            if (message.event is not None) == is_event
        )


async def test_intake_stopped_at_any_moment_goes_on_where_it_was(
    broker: RealBroker, config: KafkaConfig, store: Store, seed: int
) -> None:
    moments = random.Random(seed)
    await create_topic(broker, config.topic, 2)
    with EventSource(
        broker.bootstrap_servers, config.topic, seed=seed, events_per_second=3_000
    ) as source:
        for _ in range(12):
            with trio.move_on_after(moments.uniform(0, 0.6)):
                async with running_intake(config, broker, store):
                    await trio.sleep_forever()
        source.stop()
        async with running_intake(config, broker, store):
            await wait_all_landed(store, source)
        await assert_as_sent(store, source)


class UnreliableWriter:
    """The real writer, but some requests are refused, and answers take their time."""

    def __init__(self, store: Store, seed: int) -> None:
        self._writer = store.writer
        self._random = random.Random(seed)
        self.refused = 0

    async def submit(self, request: WriteRequest) -> Receipt:
        await trio.sleep(self._random.uniform(0, 0.02))
        if self._random.random() < 0.2:
            self.refused += 1
            raise SchemaMismatchError("refused by the test")
        receipt = await self._writer.submit(request)
        await trio.sleep(self._random.uniform(0, 0.02))
        return receipt


async def test_refused_commits_leave_no_hole(
    embedded_broker: RealBroker, config: KafkaConfig, store: Store, seed: int
) -> None:
    await create_topic(embedded_broker, config.topic, 2)
    writer = UnreliableWriter(store, seed)
    with EventSource(
        embedded_broker.bootstrap_servers, config.topic, seed=seed, events_per_second=1_000
    ) as source:
        async with running_intake(config, embedded_broker, Store(writer, store.reader)):  # type: ignore[arg-type]
            await wait_until(lambda: writer.refused >= 12)
            source.stop()
            await wait_all_landed(store, source)
        await assert_as_sent(store, source)


async def kill_and_start(broker: RealBroker) -> None:
    await trio.to_thread.run_sync(broker.kill)
    await trio.to_thread.run_sync(broker.start)


@pytest.mark.parametrize("pause_s", [0.0, 1.0])
async def test_restarted_broker_loses_and_repeats_nothing_while_the_intake_runs(
    broker: RealBroker, config: KafkaConfig, store: Store, pause_s: float
) -> None:
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await send(broker, config.topic, make_events(0, 100))
        await wait_rows(store, "events", 100)
        await trio.to_thread.run_sync(broker.kill)
        await trio.sleep(pause_s)
        await trio.to_thread.run_sync(broker.start)
        # The new log of a memory-only broker grows past the old position at once.
        await send_when_ready(broker, config, make_events(100, 300))
        await wait_rows(store, "events", 400)
        await intake.wait_consuming()
    assert await fetch_users(store) == list(range(400))


async def send_when_ready(broker: RealBroker, config: KafkaConfig, values: list[bytes]) -> None:
    """Create the topic, which a memory-only broker has lost, and send."""
    await create_topic(broker, config.topic, 2)
    await send(broker, config.topic, values)


async def test_broker_restarted_while_the_intake_is_stopped_loses_and_repeats_nothing(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await send(broker, config.topic, make_events(0, 100))
        await wait_rows(store, "events", 100)
    changes = metrics.INTAKE_INCARNATION_CHANGES._value.get()
    await kill_and_start(broker)
    await send_when_ready(broker, config, make_events(100, 300))
    async with running_intake(config, broker, store):
        await wait_rows(store, "events", 400)
    assert await fetch_users(store) == list(range(400))
    assert metrics.INTAKE_INCARNATION_CHANGES._value.get() == changes + (not broker.keeps_log)
    incarnations = await store.reader.fetch_rows(
        "SELECT broker_incarnation FROM kafka_offsets WHERE partition = 0"
    )
    if broker.embedded:
        assert incarnations == [(broker.incarnation,)]


async def test_restarted_broker_that_is_found_before_its_new_identity_is_known_is_not_trusted(
    embedded_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, embedded_broker, store) as intake:
        await intake.wait_consuming()
        await send(embedded_broker, config.topic, make_events(0, 100))
        await wait_rows(store, "events", 100)
        old_identity = embedded_broker.incarnation
        await kill_and_start(embedded_broker)
        new_identity, embedded_broker.incarnation = embedded_broker.incarnation, old_identity
        await send_when_ready(embedded_broker, config, make_events(100, 300))
        await wait_until(lambda: str(new_identity) in intake.state.detail, lambda: intake.state)
        await wait_rows(store, "events", 100)
        embedded_broker.incarnation = new_identity
        await wait_rows(store, "events", 400)
    assert await fetch_users(store) == list(range(400))


async def test_shorter_log_of_a_restarted_broker_is_read_from_its_beginning(
    unnamed_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, unnamed_broker, store) as intake:
        await intake.wait_consuming()
        await send(unnamed_broker, config.topic, make_events(0, 100))
        await wait_rows(store, "events", 100)
        await kill_and_start(unnamed_broker)
        await send_when_ready(unnamed_broker, config, make_events(100, 3))
        await wait_rows(store, "events", 103)


async def test_same_broker_is_recognised_by_the_last_record(
    unnamed_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    changes = metrics.INTAKE_INCARNATION_CHANGES._value.get()
    for number in range(4):
        async with running_intake(config, unnamed_broker, store) as intake:
            await intake.wait_consuming()
            await send(unnamed_broker, config.topic, [make_event(number)])
            await wait_rows(store, "events", number + 1)
    assert metrics.INTAKE_INCARNATION_CHANGES._value.get() == changes
    rows = await store.reader.fetch_rows("SELECT DISTINCT broker_incarnation FROM kafka_offsets")
    assert len(rows) == 1


async def test_messages_of_broker_lives_do_not_mix(
    embedded_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    """Producers, kills and a running intake, all at once."""
    lives = 4
    expected: set[int] = set()
    async with running_intake(config, embedded_broker, store) as intake:
        for life in range(lives):
            await intake.wait_consuming()
            users = range(life * 1_000, life * 1_000 + 500)
            await send_when_ready(embedded_broker, config, make_events(users.start, len(users)))
            expected.update(users)
            # What has landed stays; what has not is lost with the broker, which keeps no log.
            await wait_rows(store, "events", len(expected))
            await kill_and_start(embedded_broker)
    assert await fetch_users(store) == sorted(expected)


async def test_cancelled_intake_awaits_the_batch_it_has_handed_over(
    embedded_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    """Otherwise its successor could read the offsets before they are stored."""
    begun = trio.Event()
    released = threading.Event()

    class SlowWriter:
        async def submit(self, request: WriteRequest) -> Receipt:
            begun.set()
            await trio.to_thread.run_sync(released.wait)
            return await store.writer.submit(request)

    async with trio.open_nursery() as nursery:
        async with running_intake(
            config,
            embedded_broker,
            Store(SlowWriter(), store.reader),  # type: ignore[arg-type]
        ) as intake:
            await intake.wait_consuming()
            await send(embedded_broker, config.topic, [make_event(1)])
            await begun.wait()

            async def release_later() -> None:
                await trio.sleep(0.3)
                released.set()

            nursery.start_soon(release_later)
            cancelled_at_s = time.monotonic()
        assert time.monotonic() - cancelled_at_s > 0.25
    assert await fetch_users(store) == [1]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_cancelling_is_quick_when_the_broker_does_not_answer(
    embedded_broker: MemoryBroker, config: KafkaConfig, store: Store, end: signal.Signals
) -> None:
    async with running_intake(config, embedded_broker, store) as intake:
        await intake.wait_consuming()
        embedded_broker.send_signal(end)
        await trio.sleep(random.uniform(0, 1.0))
        cancelled_at_s = time.monotonic()
    assert time.monotonic() - cancelled_at_s < 6
