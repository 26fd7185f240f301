"""Brokers to run the intake against, a data file, and an intake that can be stopped and started."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from engine.config import KafkaConfig
from engine.health import HealthBoard, PartState
from engine.intake.run import run_intake
from engine.store.settings import StoreSettings
from engine.store.store import Store, open_store
from tests.integration.intake.apache_kafka import ApacheBroker, fetch_jars, find_jvm
from tests.integration.intake.brokers import MemoryBroker, RealBroker, find_cache

WAIT_S = 40.0
"""For a condition that normally holds within a second; the machine may be busy."""


@pytest.fixture
def embedded_broker() -> Iterator[MemoryBroker]:
    broker = MemoryBroker(embedded=True)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def unnamed_broker() -> Iterator[MemoryBroker]:
    """A broker of somebody else's that loses its log with each start, and does not say so."""
    broker = MemoryBroker(embedded=False)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def apache_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheBroker]:
    try:
        java, maven = find_jvm()
        jars = fetch_jars(maven, find_cache())
    except (FileNotFoundError, RuntimeError) as reason:
        pytest.skip(str(reason))
    broker = ApacheBroker(java, jars, tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def apache_broker(apache_node: ApacheBroker) -> ApacheBroker:
    """The session's node, started again if a test has left it dead."""
    apache_node.start()
    return apache_node


@pytest.fixture(
    params=[
        "embedded_broker",
        "unnamed_broker",
        pytest.param("apache_broker", marks=pytest.mark.kafka_apache),
    ]
)
def broker(request: pytest.FixtureRequest) -> RealBroker:
    """Each kind of broker in turn."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def config() -> KafkaConfig:
    """A topic of the test's own. Without a group, because joining one takes seconds."""
    return KafkaConfig(topic=f"events-{uuid.uuid4().hex}", group_id="", partitions=2)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as opened:
        yield opened


@attrs.frozen
class RunningIntake:
    """An intake under way."""

    health: HealthBoard

    @property
    def state(self) -> PartState:
        return self.health.snapshot()["intake"]

    async def wait_consuming(self) -> None:
        await wait_until(lambda: self.state.ok, lambda: self.state)


@asynccontextmanager
async def running_intake(
    config: KafkaConfig, broker: RealBroker, store: Store
) -> AsyncIterator[RunningIntake]:
    """Run the intake for the length of the block, then cancel it."""
    health = HealthBoard()
    async with trio.open_nursery() as nursery:
        await nursery.start(run_intake, config, broker, store, health)
        yield RunningIntake(health)
        nursery.cancel_scope.cancel()


async def wait_until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    describe: Callable[[], object] = lambda: "",
    within_s: float = WAIT_S,
) -> None:
    """Wait for a condition.

    Raises:
      AssertionError: it does not hold in time; says what is there instead.
    """
    with trio.move_on_after(within_s):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await trio.sleep(0.01)
    raise AssertionError(f"not within {within_s:g} s: {describe()}")


async def wait_rows(store: Store, table: str, count: int) -> None:
    """Wait until a table has so many rows, and fail if it gets more."""
    found = 0

    async def reached() -> bool:
        nonlocal found
        [(found,)] = await store.reader.fetch_rows(f"SELECT count(*) FROM {table}")
        assert found <= count, f"{table} has {found} rows instead of {count}"
        return found == count

    await wait_until(reached, lambda: f"{table} has {found} rows instead of {count}")


async def fetch_users(store: Store) -> list[int]:
    """Return the user ids of all events, sorted; tests number their messages by them."""
    rows = await store.reader.fetch_rows("SELECT user_id FROM events ORDER BY user_id")
    return [user_id for (user_id,) in rows]


def make_event(user_id: int, **further: Any) -> bytes:
    fields = {"user_id": user_id, "action": "click", "timestamp": time.time(), **further}
    return json.dumps(fields).encode()


def make_events(first: int, count: int) -> list[bytes]:
    return [make_event(number) for number in range(first, first + count)]
