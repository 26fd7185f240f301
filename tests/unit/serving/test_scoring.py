"""Callers and workers that meet, and callers who leave: nothing of them stays."""

import pyarrow as pa
import pytest
import trio
import trio.testing

from engine.errors import ResourceExhaustedError, UnavailableError
from engine.serving.rows import VersionRows
from engine.serving.scorers import Scorer
from engine.serving.scoring import Reply, Report, Scoring
from engine.serving.settings import ServingSettings

ONE = VersionRows(("m", 1), pa.schema([("x", pa.int64())]))
SETTINGS = ServingSettings(queue_rows=8_192, timeout_s=30.0)
WORKERS = [Scorer("a", "j", "t"), Scorer("b", "k", "u")]


class HasLease:
    def holds_job(self, worker_id: str, job_id: str, token: str) -> bool:
        return True

    def is_relieved(self, worker_id: str) -> bool:
        return False


def no_versions() -> list[VersionRows]:
    return []


def report_of(reply: Reply) -> Report:
    """Answer each row with itself."""
    if reply.batch is None:
        return Report()
    values = [float(row.values[0]) for row in reply.batch.rows]
    table = pa.table({"score": pa.array(values, pa.float64())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Report(reply.batch.number, bytes(sink.getvalue()))


async def work(scoring: Scoring, worker: Scorer) -> None:
    report = Report()
    while True:
        report = report_of(await scoring.exchange(worker, report, 5.0))


def count_held(scoring: Scoring) -> tuple[int, int, int]:
    """Return what is held of callers: rows that wait, rows under way, workers that wait."""
    desk = scoring._desk
    under_way = [one.batch for one in desk._scorers.values() if one.batch is not None]
    return desk.waiting_rows, sum(len(batch.rows) for batch in under_way), len(scoring._idle)


@pytest.fixture
async def scoring(nursery: trio.Nursery) -> Scoring:
    scoring = Scoring(SETTINGS)
    await nursery.start(scoring.run, HasLease(), no_versions)
    return scoring


async def test_ten_thousand_at_once_are_scored_or_refused_and_all_are_answered(
    scoring: Scoring, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    scored, refused = [], []

    async def ask(number: int) -> None:
        try:
            [score] = await scoring.score(ONE, [(number,)])
        except ResourceExhaustedError as error:
            refused.append(error)
        else:
            assert score.score == number
            scored.append(number)

    async with trio.open_nursery() as callers:
        for number in range(10_000):
            callers.start_soon(ask, number)
        await trio.testing.wait_all_tasks_blocked()
        assert (len(refused), count_held(scoring)) == (10_000 - 8_192, (8_192, 0, 0))
        for worker in WORKERS:
            nursery.start_soon(work, scoring, worker)
    assert len(scored) == 8_192
    assert all(error.retry_after_s for error in refused)
    await trio.testing.wait_all_tasks_blocked()
    assert count_held(scoring) == (0, 0, 2)


async def test_storms_of_callers_who_leave_make_room_and_leave_nothing(
    scoring: Scoring, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    for _ in range(3):
        with trio.move_on_after(0.1):
            async with trio.open_nursery() as callers:
                for number in range(SETTINGS.queue_rows):
                    callers.start_soon(scoring.score, ONE, [(number,)])
        assert scoring._desk.waiting_rows <= SETTINGS.queue_rows
    for worker in WORKERS:
        nursery.start_soon(work, scoring, worker)
    with trio.fail_after(1):
        [score] = await scoring.score(ONE, [(7,)])
    assert score.score == 7
    await trio.testing.wait_all_tasks_blocked()
    assert count_held(scoring) == (0, 0, 2)


async def test_callers_who_leave_while_they_are_scored_leave_nothing(
    scoring: Scoring, autojump_clock: trio.testing.MockClock
) -> None:
    [worker, _] = WORKERS
    with trio.move_on_after(0.1):
        async with trio.open_nursery() as callers:
            callers.start_soon(scoring.score, ONE, [(1,)])
            await trio.testing.wait_all_tasks_blocked()
            reply = await scoring.exchange(worker, Report(), 1.0)
    assert count_held(scoring) == (0, 1, 0)
    after = await scoring.exchange(worker, report_of(reply), 0.0)
    assert after.batch is None
    assert count_held(scoring) == (0, 0, 0)


async def test_without_a_worker_rows_wait_for_as_long_as_anybody_may(
    scoring: Scoring, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = trio.current_time()
    with pytest.raises(UnavailableError, match="0 score at the moment"):
        await scoring.score(ONE, [(1,)])
    assert trio.current_time() - began_s < SETTINGS.timeout_s + 1
    assert count_held(scoring) == (0, 0, 0)


async def test_a_worker_that_leaves_as_it_is_given_a_row_does_not_keep_it(
    scoring: Scoring, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    gone, stays = WORKERS
    answered: list[float] = []

    async def ask() -> None:
        answered.extend(one.score for one in await scoring.score(ONE, [(3,)]))

    async with trio.open_nursery() as callers:
        async with trio.open_nursery() as leaving:
            leaving.start_soon(scoring.exchange, gone, Report(), 60.0)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(work, scoring, stays)
            await trio.testing.wait_all_tasks_blocked()
            # This wakes the one who has waited longest, and whose answer nobody reads.
            callers.start_soon(ask)
            await trio.lowlevel.checkpoint()
            leaving.cancel_scope.cancel()
        callers.cancel_scope.deadline = trio.current_time() + 2 * SETTINGS.hedge_after_s
    assert answered == [3.0]
