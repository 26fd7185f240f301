"""The producer the generator is given."""

import time

import pytest

from engine.config import KafkaConfig
from engine.errors import UnavailableError
from engine.intake.kafka import KafkaRecord, open_bridge, open_producer, prepare_topics
from tests.integration.intake.brokers import MemoryBroker, RealBroker, read_topic


async def test_messages_of_one_key_stay_in_order_in_one_partition(
    broker: RealBroker, config: KafkaConfig
) -> None:
    values = [f"{number}".encode() for number in range(5_000)]
    async with open_bridge():
        await prepare_topics(config, broker, {config.topic: 1})
        async with open_producer(config, broker) as producer:
            await producer.send_many(config.topic, [(b"k", value) for value in values[:2_500]])
            await producer.send_many(config.topic, [(b"k", value) for value in values[2_500:]])
    records = await read_topic(broker, config.topic, len(values))
    assert [record.value for record in records] == values
    assert {record.key for record in records} == {b"k"}


async def test_messages_without_keys_are_spread_evenly(
    embedded_broker: MemoryBroker, config: KafkaConfig
) -> None:
    async with open_bridge():
        await prepare_topics(config, embedded_broker, {config.topic: 4})
        async with open_producer(config, embedded_broker) as producer:
            await producer.send_many(config.topic, [(None, b"x")] * 400)
    assert len(await read_topic(embedded_broker, config.topic, 100)) == 100


async def test_large_messages_and_none_at_all_are_sent(
    broker: RealBroker, config: KafkaConfig
) -> None:
    values = [b"a" * 10_000_000, b"b", b"c" * 600_000, b"d" * 600_000]
    async with open_bridge():
        await prepare_topics(config, broker, {config.topic: 1})
        async with open_producer(config, broker) as producer:
            await producer.send_many(config.topic, [(None, value) for value in values])
            await producer.send_many(config.topic, [])
            assert await producer.send_each(config.topic, []) == []
    assert [record.value for record in await read_topic(broker, config.topic, 4)] == values


@pytest.mark.kafka_apache
async def test_record_too_large_for_the_broker_is_told_apart(
    apache_broker: RealBroker, config: KafkaConfig
) -> None:
    records = [KafkaRecord(b"a"), KafkaRecord(b"x" * 20_000_000), KafkaRecord(b"b")]
    async with open_bridge():
        await prepare_topics(config, apache_broker, {config.topic: 1})
        async with open_producer(config, apache_broker) as producer:
            assert await producer.send_each(config.topic, records) == [True, False, True]


async def test_absent_broker_is_an_error_within_seconds(config: KafkaConfig) -> None:
    broker = MemoryBroker(embedded=False)
    started_s = time.monotonic()
    async with open_bridge():
        with pytest.raises(UnavailableError, match="kafka is unavailable"):
            async with open_producer(config, broker):
                raise AssertionError("there is nothing to connect to")
    assert time.monotonic() - started_s < 10
