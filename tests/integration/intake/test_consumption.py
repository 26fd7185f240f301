"""Messages become rows, once, with their offsets, whatever stands beside them."""

import datetime

import pytest
import trio

from engine import metrics
from engine.config import KafkaConfig
from engine.intake.broker import dead_letter_topic
from engine.intake.kafka import open_bridge, open_consumer, open_producer, prepare_topics
from engine.store.store import Store
from tests.integration.intake.brokers import RealBroker, create_topic, read_topic, send
from tests.integration.intake.conftest import (
    fetch_users,
    make_event,
    make_events,
    running_intake,
    wait_rows,
    wait_until,
)


async def test_events_and_offsets_land_together(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    events_before = metrics.INTAKE_EVENTS._value.get()
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await send(broker, config.topic, make_events(0, 300), partition=0)
        await send(broker, config.topic, make_events(300, 200), partition=1)
        await wait_rows(store, "events", 500)
        # Each commit holds the rows up to the offset it stores, never more, never less.
        commits = await store.reader.fetch_rows(
            'SELECT partition, commit_seq, max("offset") FROM events GROUP BY ALL ORDER BY ALL'
        )
        offsets = await store.reader.fetch_rows(
            "SELECT partition, commit_seq, next_offset - 1 FROM kafka_offsets ORDER BY partition"
        )
        assert offsets == [
            max((row for row in commits if row[0] == partition), key=lambda row: row[1])
            for partition in (0, 1)
        ]
    assert await fetch_users(store) == list(range(500))
    assert metrics.INTAKE_EVENTS._value.get() == events_before + 500


async def test_a_trickle_is_gathered_so_that_it_costs_few_commits(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        began_s = trio.current_time()
        async with open_bridge(), open_producer(config, broker) as producer:
            for number in range(200):
                await producer.send_many(config.topic, [(None, make_event(number))])
                await trio.sleep(0.003)
        await wait_rows(store, "events", 200)
        took_s = trio.current_time() - began_s
    [(commits,)] = await store.reader.fetch_rows("SELECT count(DISTINCT commit_seq) FROM events")
    assert commits <= took_s / 0.05 + 2


async def test_messages_sent_before_the_intake_started_are_taken(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    await create_topic(broker, config.topic, 2)
    await send(broker, config.topic, make_events(0, 50))
    async with running_intake(config, broker, store):
        await wait_rows(store, "events", 50)


async def test_bad_messages_go_to_dead_letters_and_spare_their_neighbours(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    bad: dict[str, bytes | None] = {
        "tombstone": None,
        "empty": b"",
        "invalid_json": b'{"user_id": 1,',
        "invalid_utf8": b"\xff\xfe",
        "not_a_number": make_event(1).replace(b'"user_id": 1', b'"user_id": NaN'),
        "user_id_range": make_event(2**63),
        "too_deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        "timestamp_too_old": make_event(1, timestamp="1850-01-01T00:00:00Z"),
        "timestamp_in_future": make_event(1, timestamp="2850-01-01T00:00:00Z"),
        "too_large": make_event(1, note="x" * 10_000_000),
    }
    values: list[bytes | None] = [make_event(0)]
    for number, value in enumerate(bad.values(), start=1):
        values += [value, make_event(number)]
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await send(broker, config.topic, values)
        await wait_rows(store, "events", len(bad) + 1)
        await wait_rows(store, "dead_letters", len(bad))
    assert await fetch_users(store) == list(range(len(bad) + 1))
    rows = await store.reader.fetch_rows(
        'SELECT reason, payload, topic, partition, "offset", dead_letter_id, broker_incarnation '
        'FROM dead_letters ORDER BY "offset"'
    )
    assert {row[0]: row[1] for row in rows} == bad
    assert [row[4] for row in rows] == list(range(1, 2 * len(bad), 2))
    for _, _, topic, partition, offset, dead_letter_id, incarnation in rows:
        assert (topic, partition) == (config.topic, 0)
        assert dead_letter_id == f"{topic}/0/{offset}@{incarnation}"


async def test_rejects_are_counted_by_reason(
    embedded_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    counter = metrics.INTAKE_REJECTED.labels("invalid_json")
    before = counter._value.get()
    async with running_intake(config, embedded_broker, store) as intake:
        await intake.wait_consuming()
        await send(embedded_broker, config.topic, [b"x", b"y"])
        await wait_rows(store, "dead_letters", 2)
        await wait_until(lambda: counter._value.get() == before + 2)


async def test_dead_letters_are_published_with_where_they_came_from_and_why(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await send(broker, config.topic, [b"oops", None], partition=1)
        await wait_rows(store, "dead_letters WHERE published_at IS NOT NULL", 2)
    first, second = await read_topic(broker, dead_letter_topic(config.topic), 2)
    rows = await store.reader.fetch_rows(
        'SELECT dead_letter_id, broker_incarnation, detail FROM dead_letters ORDER BY "offset"'
    )
    assert (first.value, second.value) == (b"oops", None)
    for record, reason, (dead_letter_id, incarnation, detail) in zip(
        (first, second), ("invalid_json", "tombstone"), rows, strict=True
    ):
        headers = {name: value.decode() for name, value in record.headers}
        received = datetime.datetime.fromisoformat(headers.pop("trellis-received"))
        assert received.tzinfo == datetime.UTC
        assert headers == {
            "trellis-reason": reason,
            "trellis-detail": detail,
            "trellis-topic": config.topic,
            "trellis-partition": "1",
            "trellis-offset": str(record.offset),
            "trellis-incarnation": incarnation,
        }
        assert record.key.decode() == dead_letter_id


@pytest.mark.kafka_apache
async def test_dead_letter_too_large_for_its_topic_is_published_without_its_payload(
    apache_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    # The limits differ by some bytes: the record with its headers is larger than what came.
    value = b"x" * (16 * 1024**2 - 200)
    async with running_intake(config, apache_broker, store) as intake:
        await intake.wait_consuming()
        await send(apache_broker, config.topic, [value])
        await wait_rows(store, "dead_letters WHERE published_at IS NOT NULL", 1)
    [record] = await read_topic(apache_broker, dead_letter_topic(config.topic), 1)
    assert record.value is None
    assert dict(record.headers)["trellis-payload-omitted"] == str(len(value)).encode()
    assert await store.reader.fetch_rows("SELECT payload FROM dead_letters") == [(value,)]


async def test_fetches_from_the_embedded_broker_slow_down_while_nothing_comes(
    embedded_broker: RealBroker, config: KafkaConfig
) -> None:
    async def nothing() -> None: ...

    async with open_bridge():
        await prepare_topics(config, embedded_broker, {config.topic: 1})
        async with open_consumer(
            config, embedded_broker, group_id=None, before_revoked=nothing
        ) as consumer:
            await consumer.assign({0: 0})
            fetcher = consumer._client._fetcher
            assert fetcher._fetch_max_wait_ms == 20

            async def slowed_down() -> bool:
                await consumer.poll(consumer.assignment, timeout_s=0.1, max_records=10)
                return bool(fetcher._fetch_max_wait_ms == 200)

            await wait_until(slowed_down, within_s=10)
            await send(embedded_broker, config.topic, [make_event(1)])

            async def sped_up() -> bool:
                await consumer.poll(consumer.assignment, timeout_s=0.1, max_records=10)
                return bool(fetcher._fetch_max_wait_ms == 20)

            await wait_until(sped_up, within_s=10)
