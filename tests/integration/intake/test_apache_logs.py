"""What only a broker that keeps its log can do to it: transactions, retention, new partitions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiokafka
import pytest
import trio
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.records_to_delete import RecordsToDelete

from engine import metrics
from engine.config import KafkaConfig
from engine.store.store import Store
from tests.integration.intake.brokers import RealBroker, create_topic, send
from tests.integration.intake.conftest import (
    fetch_users,
    make_event,
    make_events,
    running_intake,
    wait_rows,
    wait_until,
)

pytestmark = pytest.mark.kafka_apache


async def administer(broker: RealBroker, act: Callable[[Any], Awaitable[Any]]) -> None:
    async def connect_and_act() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        try:
            await act(admin)
        finally:
            await admin.close()

    await trio.to_thread.run_sync(asyncio.run, connect_and_act())


async def send_in_transaction(
    broker: RealBroker, topic: str, values: list[bytes], *, commit: bool
) -> None:
    async def produce() -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, transactional_id=f"t-{topic}"
        )
        await producer.start()
        try:
            await producer.begin_transaction()
            for value in values:
                await producer.send(topic, value, partition=0)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        finally:
            await producer.stop()

    await trio.to_thread.run_sync(asyncio.run, produce())


async def test_aborted_transactions_are_not_taken_and_marks_are_no_lag(
    apache_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    await create_topic(apache_broker, config.topic, 1)
    async with running_intake(config, apache_broker, store) as intake:
        await intake.wait_consuming()
        await send_in_transaction(apache_broker, config.topic, make_events(0, 3), commit=True)
        await send_in_transaction(apache_broker, config.topic, make_events(10, 5), commit=False)
        await wait_rows(store, "events", 3)

        # Three and five messages and a mark after each of the two transactions.
        async def all_passed() -> bool:
            rows = await store.reader.fetch_rows("SELECT next_offset FROM kafka_offsets")
            return rows == [(10,)]

        await wait_until(all_passed)
        await wait_until(lambda: metrics.INTAKE_LAG.labels("0")._value.get() == 0)
    changes = metrics.INTAKE_INCARNATION_CHANGES._value.get()
    async with running_intake(config, apache_broker, store):
        await send(apache_broker, config.topic, [make_event(3)])
        await wait_rows(store, "events", 4)
    assert await fetch_users(store) == [0, 1, 2, 3]
    assert metrics.INTAKE_INCARNATION_CHANGES._value.get() == changes


async def test_messages_deleted_before_they_were_read_are_reported(
    apache_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, apache_broker, store) as intake:
        await intake.wait_consuming()
        await send(apache_broker, config.topic, make_events(0, 10))
        await wait_rows(store, "events", 10)
    await send(apache_broker, config.topic, make_events(10, 20))
    partition = aiokafka.TopicPartition(config.topic, 0)
    await administer(
        apache_broker, lambda admin: admin.delete_records({partition: RecordsToDelete(25)})
    )
    skipped = metrics.INTAKE_SKIPPED._value.get()
    changes = metrics.INTAKE_INCARNATION_CHANGES._value.get()
    async with running_intake(config, apache_broker, store):
        await wait_rows(store, "events", 15)
    assert await fetch_users(store) == [*range(10), *range(25, 30)]
    assert metrics.INTAKE_SKIPPED._value.get() == skipped + 15
    assert metrics.INTAKE_INCARNATION_CHANGES._value.get() == changes


async def test_retention_that_takes_only_what_was_read_is_no_event(
    apache_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, apache_broker, store) as intake:
        await intake.wait_consuming()
        await send(apache_broker, config.topic, make_events(0, 10))
        await wait_rows(store, "events", 10)
    partition = aiokafka.TopicPartition(config.topic, 0)
    await administer(
        apache_broker, lambda admin: admin.delete_records({partition: RecordsToDelete(10)})
    )
    skipped = metrics.INTAKE_SKIPPED._value.get()
    changes = metrics.INTAKE_INCARNATION_CHANGES._value.get()
    async with running_intake(config, apache_broker, store):
        await send(apache_broker, config.topic, make_events(10, 1))
        await wait_rows(store, "events", 11)
    assert metrics.INTAKE_SKIPPED._value.get() == skipped
    assert metrics.INTAKE_INCARNATION_CHANGES._value.get() == changes


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
async def test_topic_that_is_deleted_and_made_again_is_read_from_its_beginning(
    apache_broker: RealBroker, config: KafkaConfig, store: Store, running: bool
) -> None:
    async def replace_topic() -> None:
        await administer(apache_broker, lambda admin: admin.delete_topics([config.topic]))
        await create_when_gone(apache_broker, config.topic)

    async with running_intake(config, apache_broker, store) as intake:
        await intake.wait_consuming()
        await send(apache_broker, config.topic, make_events(0, 10))
        await wait_rows(store, "events", 10)
        if running:
            await replace_topic()
            await send(apache_broker, config.topic, make_events(10, 5))
            await wait_rows(store, "events", 15)
    if not running:
        await replace_topic()
        await send(apache_broker, config.topic, make_events(10, 30))
        async with running_intake(config, apache_broker, store):
            await wait_rows(store, "events", 40)


async def create_when_gone(broker: RealBroker, topic: str) -> None:
    """A topic's name is free again a moment after it was deleted."""

    async def gone() -> bool:
        names: list[str] = []

        async def look(admin: Any) -> None:
            names.extend(await admin.list_topics())

        await administer(broker, look)
        return topic not in names

    await wait_until(gone)
    await create_topic(broker, topic, 2)


async def test_partitions_that_are_added_are_consumed(
    apache_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, apache_broker, store) as intake:
        await intake.wait_consuming()
        await send(apache_broker, config.topic, make_events(0, 10), partition=1)
        await wait_rows(store, "events", 10)
        await administer(
            apache_broker,
            lambda admin: admin.create_partitions({config.topic: NewPartitions(3)}),
        )
        await send(apache_broker, config.topic, make_events(10, 10), partition=2)
        await wait_rows(store, "events", 20)
        assert intake.state.detail.startswith("consuming 3 partitions")
