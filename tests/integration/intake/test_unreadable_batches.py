"""A batch that cannot be unpacked is set aside; everything beside it is taken, once."""

import aiokafka.errors
import pytest

from engine import metrics
from engine.clock import read_clock_us
from engine.config import KafkaConfig
from engine.intake.dead_letters import DeadLetters, Selection
from engine.intake.validation import Rules
from engine.store.store import Store
from tests.integration.intake.broken_batches import (
    BREAKAGES,
    break_batch,
    build_batch,
    send_batch,
)
from tests.integration.intake.brokers import MemoryBroker, RealBroker, create_topic, send
from tests.integration.intake.conftest import (
    fetch_users,
    make_events,
    running_intake,
    wait_rows,
    wait_until,
)


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_neighbours_of_an_unreadable_batch_are_taken_once(
    broker: RealBroker, config: KafkaConfig, store: Store, breakage: str
) -> None:
    await create_topic(broker, config.topic, 2)
    await send(broker, config.topic, make_events(0, 50))
    broken = break_batch(build_batch(make_events(1_000, 3)), breakage)
    try:
        first = await send_batch(broker, config.topic, broken)
    except aiokafka.errors.KafkaError as refusal:
        pytest.skip(f"the broker does not take it: {refusal!r}")
    await send(broker, config.topic, make_events(50, 200))
    await send(broker, config.topic, make_events(250, 100), partition=1)
    counter = metrics.INTAKE_REJECTED.labels("unreadable_batch")
    before = counter._value.get()
    async with running_intake(config, broker, store) as intake:
        await wait_rows(store, "events WHERE user_id >= 250 AND user_id < 1000", 100)
        await wait_rows(store, "events WHERE user_id < 1000", 350)
        await wait_rows(store, "dead_letters", 1)
        await intake.wait_consuming()
        assert counter._value.get() == before + 1
    # Records that could be unpacked before the batch broke off are events like any other.
    taken = [user for user in await fetch_users(store) if user >= 1000]
    [(partition, offset, payload, detail)] = await store.reader.fetch_rows(
        'SELECT partition, "offset", payload, detail FROM dead_letters '
        "WHERE reason = 'unreadable_batch'"
    )
    assert partition == 0
    assert offset == first + len(taken)
    assert payload[12:] == broken[12:] or payload[21:] == broken[21:]
    assert f"offsets {offset} to " in detail
    # A restart goes on behind it.
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await send(broker, config.topic, make_events(350, 10))
        await wait_rows(store, "events WHERE user_id < 1000", 360)
        await wait_rows(store, "dead_letters", 1)
    assert [user for user in await fetch_users(store) if user < 1000] == list(range(360))


async def test_batch_that_promises_more_records_than_it_holds_is_taken_as_far_as_it_goes(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    await create_topic(broker, config.topic, 2)
    broken = break_batch(build_batch(make_events(0, 3)), "too many")
    try:
        await send_batch(broker, config.topic, broken)
    except aiokafka.errors.KafkaError as refusal:
        pytest.skip(f"the broker does not take it: {refusal!r}")
    await send(broker, config.topic, make_events(3, 20))
    async with running_intake(config, broker, store) as intake:
        await wait_rows(store, "events", 23)
        await intake.wait_consuming()
    assert await fetch_users(store) == list(range(23))
    await wait_rows(store, "dead_letters", 0)


async def test_engine_that_restarts_before_it_gave_up_takes_neighbours_once(
    embedded_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    await create_topic(embedded_broker, config.topic, 2)
    await send(embedded_broker, config.topic, make_events(0, 20))
    broken = break_batch(build_batch(make_events(1_000, 3)), "zstd")
    offset = await send_batch(embedded_broker, config.topic, broken)
    await send(embedded_broker, config.topic, make_events(20, 20))
    for _ in range(2):
        async with running_intake(config, embedded_broker, store) as intake:
            detail = f"partition 0 cannot be read at offset {offset}"
            await wait_until(lambda: detail in intake.state.detail, lambda: intake.state)  # noqa: B023
            assert not intake.state.ok
            await wait_rows(store, "events", 20)
    async with running_intake(config, embedded_broker, store):
        await wait_rows(store, "events", 40)
    assert await fetch_users(store) == list(range(40))
    await wait_rows(store, "dead_letters", 1)


async def test_unreadable_batch_at_the_end_is_given_up_and_stays_so(
    broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    await create_topic(broker, config.topic, 2)
    broken = break_batch(build_batch(make_events(1_000, 3)), "gzip")
    try:
        await send_batch(broker, config.topic, broken, partition=1)
    except aiokafka.errors.KafkaError as refusal:
        pytest.skip(f"the broker does not take it: {refusal!r}")
    for _ in range(2):
        async with running_intake(config, broker, store) as intake:
            await wait_rows(store, "dead_letters", 1)
            await intake.wait_consuming()
    async with running_intake(config, broker, store) as intake:
        await intake.wait_consuming()
        await send(broker, config.topic, make_events(0, 5), partition=1)
        await wait_rows(store, "events", 5)


async def test_unreadable_batch_is_not_replayed_and_keeps_its_reason(
    embedded_broker: MemoryBroker, config: KafkaConfig, store: Store
) -> None:
    await create_topic(embedded_broker, config.topic, 2)
    broken = break_batch(build_batch(make_events(1_000, 3)), "lz4")
    await send_batch(embedded_broker, config.topic, broken)
    async with running_intake(config, embedded_broker, store):
        await wait_rows(store, "dead_letters", 1)
    before = await store.reader.fetch_rows("SELECT reason, detail FROM dead_letters")
    dead_letters = DeadLetters(store.reader, store.writer, Rules.from_config(config), read_clock_us)
    report = await dead_letters.replay(Selection())
    assert (report.replayed, report.failed) == (0, 1)
    assert report.failures[0].reason == "unreadable_batch"
    assert "cannot be unpacked" in report.failures[0].detail
    assert await store.reader.fetch_rows("SELECT reason, detail FROM dead_letters") == before
