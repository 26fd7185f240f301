"""A champion is ready to answer before it is one, over a real data file; loading is played."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing

from engine.errors import (
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from engine.learning.alias_moves import AliasMoves
from engine.models.policy import Cause
from engine.records import WriteRequest
from tests.integration.learning.loop_world import Loop, PlayedLoader, metric, open_loop
from tests.support.retention_world import make_events


async def train_two(loop: Loop) -> None:
    """Make version 2 champion and version 3 challenger."""
    await loop.add_events((1, "view", 10))
    await loop.train()
    await loop.train(metrics=metric(0.6), champion_metrics=metric(0.7))


async def test_a_version_is_loaded_before_it_is_champion(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await train_two(loop)
        loader = PlayedLoader()
        moves = AliasMoves(loop.models, loader)
        assert await moves.set_alias("buyer", "champion", 3, expected=2) == 2
        assert loader.loaded == [("buyer", 3)]
        assert loop.models.get("buyer").version == 3
        # Nothing moves, or nobody is answered by it: there is nothing to be ready for.
        await moves.set_alias("buyer", "champion", 3)
        await moves.set_alias("buyer", "challenger", 2)
        await moves.set_alias("buyer", "challenger", None)
        assert loader.loaded == [("buyer", 3)]


@asynccontextmanager
async def busy_writer(loop: Loop) -> AsyncIterator[trio.Nursery]:
    """Provide a nursery for changes that queue, in this order, behind a commit that takes long."""
    times_us = np.arange(300_000)
    async with trio.open_nursery() as nursery:
        long = WriteRequest((make_events(times_us),))
        nursery.start_soon(loop.store.writer.submit, long)
        await trio.testing.wait_all_tasks_blocked()
        yield nursery


async def test_a_champion_that_is_moved_while_a_training_ends_is_not_replaced_by_it(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await train_two(loop)
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        before = loop.store.writer.commit_seq
        async with busy_writer(loop) as nursery:
            nursery.start_soon(loop.models.set_alias, "buyer", "champion", 3)
            await trio.testing.wait_all_tasks_blocked()
            better = {"metrics": metric(0.8), "champion_metrics": metric(0.7)}
            nursery.start_soon(partial(loop.complete, job, **better))
            await trio.testing.wait_all_tasks_blocked()
            assert loop.store.writer.commit_seq == before
        assert loop.models.find("buyer").aliases == {"champion": 3, "challenger": 4}


async def test_a_move_from_one_champion_is_refused_when_a_training_has_just_made_another(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await train_two(loop)
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        before = loop.store.writer.commit_seq
        async with busy_writer(loop) as nursery:
            better = {"metrics": metric(0.8), "champion_metrics": metric(0.7)}
            nursery.start_soon(partial(loop.complete, job, **better))
            await trio.testing.wait_all_tasks_blocked()
            assert loop.store.writer.commit_seq == before
            with pytest.raises(FailedPreconditionError, match="champion of 'buyer' is version 4"):
                await loop.models.set_alias("buyer", "champion", 3, expected=2)
        assert loop.models.find("buyer").aliases == {"champion": 4}


async def test_a_version_that_cannot_answer_does_not_become_champion(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await train_two(loop)
        moves = AliasMoves(loop.models, PlayedLoader(v3=DataLossError("another hash")))
        with pytest.raises(FailedPreconditionError, match=r"version 3 .* cannot answer.*another"):
            await moves.set_alias("buyer", "champion", 3)
        assert loop.models.find("buyer").aliases == {"champion": 2, "challenger": 3}


async def test_a_move_that_is_not_allowed_loads_nothing(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await train_two(loop)
        loader = PlayedLoader()
        moves = AliasMoves(loop.models, loader)
        for arguments, expected, error in (
            (("buyer", "champion", 3), 9, FailedPreconditionError),
            (("buyer", "champion", 1), "any", FailedPreconditionError),
            (("buyer", "winner", 3), "any", InvalidArgumentError),
            (("buyer", "champion", 7), "any", NotFoundError),
        ):
            with pytest.raises(error):
                await moves.set_alias(*arguments, expected=expected)
        assert loader.loaded == []


async def test_a_champion_that_changed_while_one_was_loaded_is_not_replaced(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await train_two(loop)

        class Slow(PlayedLoader):
            async def preload(self, model: str, version: int, within_s: float) -> None:
                await loop.train(metrics=metric(0.9), champion_metrics=metric(0.7))

        with pytest.raises(FailedPreconditionError, match="is version 4, not version 2"):
            await AliasMoves(loop.models, Slow()).set_alias("buyer", "champion", 3, expected=2)
        assert loop.models.get("buyer").version == 4


async def test_every_move_is_a_line_of_the_log_also_that_of_a_challenger_that_is_one_no_more(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await train_two(loop)
        await loop.train(metrics=metric(0.9), champion_metrics=metric(0.7))
        rows = await loop.store.reader.fetch_rows(
            "SELECT version, change, detail->>'alias', detail->>'before' FROM model_log "
            "WHERE change LIKE 'alias%' ORDER BY logged_at, change DESC"
        )
        assert rows == [
            (2, "alias set", "champion", None),
            (3, "alias set", "challenger", None),
            (4, "alias set", "champion", "2"),
            (None, "alias removed", "challenger", "3"),
        ]
