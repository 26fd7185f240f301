"""Who ends a span never waits, whatever the collector does; what is lost is counted."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from engine.tracing.sending import NotTaken, SpanSender

WITHIN_S = 10.0


class Exporter:
    """Takes spans once it is let, and then says what it is told to."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.lost: NotTaken | None = None
        self.taken: list[object] = []
        self.aborted = False

    def send(self, batch: Sequence[object]) -> NotTaken | None:
        self.let.wait(WITHIN_S)
        self.taken.extend(batch)
        return self.lost

    def abort(self) -> None:
        self.aborted = True


class World:
    def __init__(self, queue_spans: int = 10) -> None:
        self.exporter = Exporter()
        self.sent = 0
        self.dropped: Counter[str] = Counter()
        self.sender = SpanSender(
            self.exporter, self._on_sent, self._on_dropped, queue_spans=queue_spans
        )
        self.sender.start()

    def _on_sent(self, spans: int) -> None:
        self.sent += spans

    def _on_dropped(self, reason: str, spans: int) -> None:
        self.dropped[reason] += spans


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.exporter.let.set()
    world.sender.close(WITHIN_S)


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)  # between two looks


def test_spans_are_sent_in_order_and_the_last_ones_before_the_end(world: World) -> None:
    world.exporter.let.set()
    for number in range(7):
        world.sender.put(number)
    world.sender.close(WITHIN_S)
    assert world.exporter.taken == list(range(7))
    assert (world.sent, world.dropped) == (7, Counter())


def test_spans_that_do_not_fit_are_dropped_at_once_and_counted(world: World) -> None:
    world.sender.put("first")
    wait_until(lambda: not world.sender._queue)  # it is being sent, for as long as that takes
    began_s = time.monotonic()
    for number in range(1_000):
        world.sender.put(number)
    assert time.monotonic() - began_s < 1.0
    assert world.dropped == {"queue_full": 990}


def test_what_is_not_taken_is_counted_and_told_once_a_minute(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.exporter.lost = NotTaken(1, "503 Service Unavailable")
    world.exporter.let.set()
    with caplog.at_level(logging.WARNING):
        for turn in range(1, 4):
            world.sender.put(turn)
            wait_until(lambda turn=turn: world.dropped["not_taken"] == turn)
    told = [record for record in caplog.records if record.message == "spans dropped"]
    assert [vars(record)["detail"] for record in told] == ["503 Service Unavailable"]
    assert world.sent == 0


def test_the_end_waits_no_longer_than_it_is_told() -> None:
    world = World()
    world.sender.put("under way")
    wait_until(lambda: not world.sender._queue)
    world.sender.put("left")
    began_s = time.monotonic()
    world.sender.close(0.1)
    assert time.monotonic() - began_s < 2.0
    assert world.exporter.aborted
    assert world.dropped == {"stopped": 1}
    world.exporter.let.set()
