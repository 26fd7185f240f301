"""The metrics' page says what the library would, and holds up nobody while it is written."""

import pytest
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition

from engine.web.metrics_page import write_metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    calls = Counter("calls", "Calls made.", ["method"], registry=registry)
    for number in range(3):
        calls.labels(f'odd "{number}" \n').inc(number)
    Gauge("lag", "Of messages.", registry=registry).set(float("nan"))
    Histogram("seconds", "Of a call.", registry=registry).observe(0.2, {"trace_id": "abc"})
    return registry


async def test_it_says_what_the_library_would(registry: CollectorRegistry) -> None:
    assert await write_metrics(registry) == exposition.generate_latest(registry)


async def test_no_metrics_are_a_page_too() -> None:
    assert await write_metrics(CollectorRegistry()) == b""


async def test_others_run_while_much_is_written() -> None:
    registry = CollectorRegistry()
    for number in range(1_000):
        Histogram(f"seconds_{number}", "Of a call.", registry=registry).observe(0.2)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await write_metrics(registry)
        assert turns >= 10
        nursery.cancel_scope.cancel()
