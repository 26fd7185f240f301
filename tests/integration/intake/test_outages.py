"""What is wrong is told within seconds, and passes without a restart of the engine."""

import signal
from collections.abc import Iterator

import pytest
import trio

from engine import metrics
from engine.config import KafkaConfig
from engine.errors import StoreError
from engine.intake.kafka import open_bridge, prepare_topics
from engine.records import Receipt, WriteRequest
from engine.store.store import Store
from tests.integration.intake.brokers import MemoryBroker, RealBroker, create_topic, send
from tests.integration.intake.conftest import (
    make_event,
    make_events,
    running_intake,
    wait_rows,
    wait_until,
)


@pytest.fixture
def absent_broker() -> Iterator[MemoryBroker]:
    broker = MemoryBroker(embedded=False)
    yield broker
    broker.kill()


async def test_broker_that_is_away_at_start_is_reported_and_used_once_it_comes(
    absent_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, absent_broker, store) as intake:
        await wait_until(lambda: "kafka is unavailable" in intake.state.detail)
        assert not intake.state.ok
        assert not intake.state.required
        await trio.to_thread.run_sync(absent_broker.start)
        await intake.wait_consuming()
        await send(absent_broker, config.topic, [make_event(1)])
        await wait_rows(store, "events", 1)


async def test_embedded_broker_that_has_not_started_is_waited_for(
    config: KafkaConfig, store: Store
) -> None:
    broker = MemoryBroker(embedded=True)
    try:
        async with running_intake(config, broker, store) as intake:
            await wait_until(lambda: "kafka is unavailable" in intake.state.detail)
            await trio.to_thread.run_sync(broker.start)
            await intake.wait_consuming()
    finally:
        broker.kill()


async def test_broker_that_dies_is_reported_within_seconds_and_recovered_from(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await trio.to_thread.run_sync(broker.kill)
        await wait_until(lambda: not intake.state.ok, within_s=10)
        assert "kafka is unavailable" in intake.state.detail
        await trio.to_thread.run_sync(broker.start)
        await intake.wait_consuming()


async def test_broker_that_hangs_is_reported_within_ten_seconds(
    unnamed_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, unnamed_broker, store) as intake:
        await intake.wait_consuming()
        unnamed_broker.send_signal(signal.SIGSTOP)
        await wait_until(lambda: not intake.state.ok, within_s=10)
        assert "no answer within" in intake.state.detail
        unnamed_broker.send_signal(signal.SIGCONT)
        await intake.wait_consuming()


async def test_intake_that_stands_still_while_messages_wait_is_reported_as_stuck(
    embedded_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    released = trio.Event()

    class HeldWriter:
        async def submit(self, request: WriteRequest) -> Receipt:
            await released.wait()
            return await store.writer.submit(request)

    held = Store(HeldWriter(), store.reader)  # type: ignore[arg-type]
    config = KafkaConfig(topic=config.topic, partitions=2, stuck_after_s=2.0)
    async with running_intake(config, embedded_broker, held) as intake:
        await intake.wait_consuming()
        assert metrics.INTAKE_STUCK._value.get() == 0
        await send(embedded_broker, config.topic, make_events(0, 5), partition=1)
        await wait_until(lambda: metrics.INTAKE_STUCK._value.get() == 1, within_s=10)
        assert not intake.state.ok
        assert "stuck: 5 messages wait, not moved for " in intake.state.detail
        assert intake.state.detail.endswith(" s: partition 1, and rows wait for the data file")
        assert metrics.INTAKE_LAG.labels("1")._value.get() == 5
        assert metrics.INTAKE_LAG.labels("0")._value.get() == 0
        assert metrics.INTAKE_OFFSET_AGE._value.get() >= 2
        released.set()
        await wait_rows(store, "events", 5)
        await intake.wait_consuming()
        await wait_until(lambda: metrics.INTAKE_STUCK._value.get() == 0)
        await wait_until(lambda: metrics.INTAKE_LAG.labels("1")._value.get() == 0)


async def test_waiting_for_messages_is_not_being_stuck(
    embedded_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    config = KafkaConfig(topic=config.topic, stuck_after_s=0.2)
    async with running_intake(config, embedded_broker, store) as intake:
        await intake.wait_consuming()
        await send(embedded_broker, config.topic, make_events(0, 5))
        await wait_rows(store, "events", 5)
        # Several rounds of the watch, which looks once a second.
        with trio.move_on_after(3.5):
            await wait_until(lambda: metrics.INTAKE_STUCK._value.get() == 1)
        assert intake.state.ok


async def test_topics_are_created_with_the_configured_partitions(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        assert intake.state.detail == "consuming 2 partitions"


async def test_existing_topic_keeps_its_partitions(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    await create_topic(broker, config.topic, 3)
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        assert intake.state.detail == "consuming 3 partitions"


@pytest.mark.kafka_apache
async def test_topic_that_cannot_be_created_is_reported(
    apache_broker: RealBroker, store: Store
) -> None:
    config = KafkaConfig(topic="x" * 249, group_id="")  # with .dlq longer than Kafka allows
    async with running_intake(config, apache_broker, store) as intake:
        await wait_until(lambda: "cannot be created" in intake.state.detail)
        assert f"{config.topic}.dlq" in intake.state.detail


async def test_preparing_topics_twice_changes_nothing(
    broker: RealBroker, config: KafkaConfig
) -> None:
    async with open_bridge():
        for _ in range(2):
            found = await prepare_topics(config, broker, {config.topic: 2, "other": 1})
            assert found == (0, 1)


async def test_lag_counts_all_that_waits_while_nothing_can_be_committed(
    embedded_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    class RefusingWriter:
        async def submit(self, request: WriteRequest) -> Receipt:
            raise StoreError("refused for the test")

    refusing = Store(RefusingWriter(), store.reader)  # type: ignore[arg-type]
    config = KafkaConfig(topic=config.topic, partitions=2, stuck_after_s=4.0)
    lag = metrics.INTAKE_LAG.labels("0")
    was_stuck = False
    async with running_intake(config, embedded_broker, refusing) as intake:
        await intake.wait_consuming()
        await send(embedded_broker, config.topic, make_events(0, 7))
        await wait_until(lambda: lag._value.get() == 7, lag._value.get)
        # One batch, of which the embedded broker tells only where it begins.
        await send(embedded_broker, config.topic, make_events(7, 196))
        await wait_until(lambda: lag._value.get() == 203, lag._value.get, within_s=5)
        # The sessions fail one after the other; from the alarm on it stays.
        with trio.move_on_after(9):
            while True:
                stuck = metrics.INTAKE_STUCK._value.get() == 1
                assert stuck or not was_stuck
                was_stuck = was_stuck or stuck
                assert lag._value.get() == 203
                await trio.sleep(0.01)
    assert was_stuck
