"""Predictions on their way into the data file, whatever the writer does meanwhile."""

import pytest
import trio

from engine.errors import UnavailableError
from engine.records import Receipt, WriteRequest
from engine.serving import prediction_log
from engine.serving.prediction_log import PredictionLog, Record
from engine.serving.rows import Score


class Writer:
    """Writes when it may."""

    def __init__(self) -> None:
        self.may_write = trio.Event()
        self.asked = trio.Event()
        self.is_away = False
        self.written: list[str] = []

    async def submit(self, request: WriteRequest) -> Receipt:
        self.asked.set()
        [rows] = request.operations
        ids = rows.data.column("prediction_id").to_pylist()
        # As the writer does: what is queued may be written though nobody waits for it any more.
        self.written += [] if self.is_away else ids
        await self.may_write.wait()
        if self.is_away:
            raise UnavailableError("the writer has stopped")
        return Receipt(1, len(ids))


def record(prediction_id: str) -> Record:
    score = Score("true", 0.5, ("false", "true"), (0.5, 0.5))
    return Record(prediction_id, 1, "m", 1, 1, 1, 1, (1,), "P", score, False, "")


@pytest.fixture
def writer() -> Writer:
    return Writer()


async def test_a_commit_under_way_at_the_end_keeps_its_predictions_once(
    writer: Writer, autojump_clock: trio.testing.MockClock
) -> None:
    log = PredictionLog(writer)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        log.add(record("first"))
        await writer.asked.wait()
        log.add(record("second"))
        nursery.cancel_scope.cancel()
        writer.may_write.set()
    assert writer.written == ["first", "second"]


async def test_a_writer_that_never_answers_holds_up_the_end_for_seconds_only(
    writer: Writer, autojump_clock: trio.testing.MockClock
) -> None:
    log = PredictionLog(writer)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(log.run)
            log.add(record("first"))
            await writer.asked.wait()
            nursery.cancel_scope.cancel()
    assert writer.written == ["first"]


async def test_more_than_fit_into_one_commit_follow_without_another_prediction(
    writer: Writer, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "_MOST_AT_ONCE", 2)
    writer.may_write.set()
    log = PredictionLog(writer)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        log.add(record("0"))
        # While they gather.
        await trio.testing.wait_all_tasks_blocked()
        for number in range(1, 4):
            log.add(record(str(number)))
        await trio.sleep(5)
        assert writer.written == ["0", "1", "2", "3"]
        nursery.cancel_scope.cancel()


async def test_what_the_writer_refuses_is_dropped_and_holds_nobody_up(
    writer: Writer, autojump_clock: trio.testing.MockClock
) -> None:
    writer.is_away = True
    writer.may_write.set()
    log = PredictionLog(writer)
    async with trio.open_nursery() as nursery:
        await nursery.start(log.run)
        log.add(record("lost"))
        with trio.fail_after(5):
            await log.flush()
        writer.is_away = False
        log.add(record("kept"))
        with trio.fail_after(5):
            await log.flush()
        nursery.cancel_scope.cancel()
    assert writer.written == ["kept"]
