"""A version is ready before anybody asks it, or it is said why not; the workers are played."""

import pyarrow as pa
import pytest
import trio
import trio.testing

from engine.errors import DataLossError, UnavailableError
from engine.serving.rows import VersionRows
from engine.serving.scorers import Scorer
from engine.serving.scoring import Report, Scoring
from engine.serving.settings import ServingSettings

VERSION = VersionRows(("m", 3), pa.schema([("x", pa.int64())]))
A, B = Scorer("a", "j", "t"), Scorer("b", "k", "u")
LOADED = frozenset({VERSION.key})


@pytest.fixture
async def scoring() -> Scoring:
    scoring = Scoring(ServingSettings())
    for scorer in (A, B):
        await scoring.exchange(scorer, Report(), 0)
    return scoring


async def load(scoring: Scoring, scorer: Scorer) -> None:
    reply = await scoring.exchange(scorer, Report(), 1)
    assert reply.batch is not None
    assert (reply.batch.of.key, reply.batch.rows) == (VERSION.key, ())
    await scoring.exchange(scorer, Report(reply.batch.number, loaded=LOADED), 0)


async def test_every_worker_has_it_before_it_is_said_to_be_ready(
    scoring: Scoring, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scoring.preload, VERSION, 10)
        await trio.testing.wait_all_tasks_blocked()
        await load(scoring, A)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks
        await load(scoring, B)
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks
    reply = await scoring.exchange(A, Report(loaded=LOADED), 0)
    assert not reply.forget, "it is kept until its alias is moved"


async def test_one_that_is_held_up_holds_nobody_up_for_longer_than_asked(
    scoring: Scoring, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scoring.preload, VERSION, 10)
        await trio.testing.wait_all_tasks_blocked()
        await load(scoring, A)
    assert trio.current_time() - began_s == pytest.approx(10)


async def test_without_any_in_time_it_is_not_ready(
    scoring: Scoring, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(UnavailableError, match="within 10 s"):
        await scoring.preload(VERSION, 10)


async def test_what_cannot_be_loaded_is_said_at_once(
    scoring: Scoring, autojump_clock: trio.testing.MockClock
) -> None:
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def refuse() -> None:
            await trio.testing.wait_all_tasks_blocked()
            reply = await scoring.exchange(A, Report(), 1)
            assert reply.batch is not None
            report = Report(
                reply.batch.number, error_code="tampered_artifact", error="another hash"
            )
            await scoring.exchange(A, report, 0)

        nursery.start_soon(refuse)
        with pytest.raises(DataLossError, match="another hash"):
            await scoring.preload(VERSION, 10)
    assert trio.current_time() - began_s < 1
