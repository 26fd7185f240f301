"""The metrics' page says what the library would, and holds up nobody while it is written."""

import pytest
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition
from prometheus_client.openmetrics import exposition as openmetrics

from engine.web.metrics_page import write_open, write_plain


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
    assert await write_plain(registry) == exposition.generate_latest(registry)
    assert await write_open(registry) == openmetrics.generate_latest(registry)


async def test_no_metrics_are_a_page_too() -> None:
    assert await write_plain(CollectorRegistry()) == b""
    assert await write_open(CollectorRegistry()) == b"# EOF\n"


async def test_others_run_between_two_families(registry: CollectorRegistry) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await write_plain(registry)
        assert turns >= 2
        nursery.cancel_scope.cancel()
