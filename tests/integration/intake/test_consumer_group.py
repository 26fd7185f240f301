"""Several engines in a group, each with a data file of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from engine.config import KafkaConfig
from engine.store.settings import StoreSettings
from engine.store.store import Store, open_store
from tests.integration.intake.brokers import RealBroker, create_topic, read_group_offsets
from tests.integration.intake.conftest import (
    running_intake,
    wait_rows,
    wait_until,
)
from tests.support.event_source import EventSource

pytestmark = pytest.mark.kafka_apache


@pytest.fixture
def group_config(config: KafkaConfig) -> KafkaConfig:
    return attrs.evolve(config, group_id=f"group-of-{config.topic}", partitions=4)


@pytest.fixture
async def other_store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(StoreSettings(path=tmp_path / "other.duckdb")) as opened:
        yield opened


async def fetch_places(store: Store) -> list[tuple[int, int]]:
    return await store.reader.fetch_rows(  # type: ignore[return-value]
        'SELECT partition, "offset" FROM events ORDER BY partition, "offset"'
    )


async def test_only_member_of_a_group_takes_all_partitions_and_publishes_its_offsets(
    apache_broker: RealBroker, group_config: KafkaConfig, store: Store
) -> None:
    await create_topic(apache_broker, group_config.topic, 4)
    with EventSource(
        apache_broker.bootstrap_servers, group_config.topic, seed=1, malformed_rate=0.0
    ) as source:
        async with running_intake(group_config, apache_broker, store) as intake:
            await intake.wait_consuming()
            assert intake.state.detail.startswith("consuming 4 partitions")
            source.stop()
            sent = source.sent()
            await wait_rows(store, "events", len(sent))
            ends = dict.fromkeys(range(4), 0)
            for message in sent:
                ends[message.partition] = max(ends[message.partition], message.offset + 1)

            async def published() -> bool:
                offsets = await read_group_offsets(
                    apache_broker, group_config.group_id, group_config.topic, 4
                )
                return offsets == ends

            await wait_until(published)


async def test_rebalances_lose_nothing_and_repeat_nothing_in_any_data_file(
    apache_broker: RealBroker, group_config: KafkaConfig, store: Store, other_store: Store
) -> None:
    """One engine runs on; a second joins and leaves, twice, under load."""
    await create_topic(apache_broker, group_config.topic, 4)
    with EventSource(
        apache_broker.bootstrap_servers,
        group_config.topic,
        seed=2,
        events_per_second=1_000,
        malformed_rate=0.0,
    ) as source:
        async with running_intake(group_config, apache_broker, store) as first:
            await first.wait_consuming()
            for _ in range(2):
                async with running_intake(group_config, apache_broker, other_store) as second:
                    # Each has its half of the partitions, and goes on under load.
                    await wait_until(
                        lambda: "consuming 2 partitions" in second.state.detail,
                        lambda: second.state,
                    )
                    await wait_until(
                        lambda: "consuming 2 partitions" in first.state.detail, lambda: first.state
                    )
                    await wait_for_more(other_store)
                await wait_until(
                    lambda: "consuming 4 partitions" in first.state.detail, lambda: first.state
                )
            source.stop()
            sent = sorted((message.partition, message.offset) for message in source.sent())
            # A data file that gets a partition back goes on where it was, so none has a hole.
            await wait_rows(store, "events", len(sent))
    assert await fetch_places(store) == sent
    others = await fetch_places(other_store)
    assert len(others) == len(set(others))
    assert set(others) <= set(sent)
    for partition in {place[0] for place in others}:
        offsets = [offset for number, offset in others if number == partition]
        assert offsets == list(range(len(offsets)))


async def wait_for_more(store: Store) -> None:
    [(before,)] = await store.reader.fetch_rows("SELECT count(*) FROM events")

    async def has_more() -> bool:
        [(count,)] = await store.reader.fetch_rows("SELECT count(*) FROM events")
        return bool(count > before)

    await wait_until(has_more)
