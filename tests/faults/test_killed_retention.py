"""Killed at any moment of moving, each row is in the data file or in an archive, and once."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.retention_process import DAYS, MOMENTS, PACE
from tests.support.engine_process import ROOT
from tests.support.retention_world import (
    DAY_US,
    NOW_US,
    RetentionWorld,
    all_events,
    make_events,
    open_world,
)

Rows = Counter[tuple[Any, ...]]
ROWS_A_DAY = 1_100


async def fill(folder: Path) -> Rows:
    async with open_world(folder) as world:
        for day in range(8):
            start_us = NOW_US // DAY_US * DAY_US - (7 - day) * DAY_US
            times_us = range(start_us, start_us + ROWS_A_DAY * 1_000_000, 1_000_000)
            await world.write(make_events(times_us, first_offset=day * ROWS_A_DAY))
        return await world.rows("events")


@contextmanager
def moving(folder: Path, moment: str) -> Iterator["subprocess.Popen[str]"]:
    """Have a process move rows; it is killed at the end of the block."""
    command = [sys.executable, "-m", "tests.faults.retention_process", str(folder), moment]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def check(world: RetentionWorld, all_rows: Rows) -> list[str]:
    """Check that no row is lost or doubled; return the states of the archives."""
    assert await world.rows("events") + await world.archived("events") == all_rows
    return [archive["state"] for archive in await world.archives("events")]


async def check_end(world: RetentionWorld, all_rows: Rows) -> None:
    """Move the rest, and check that nothing is left of what came to nothing."""
    table = all_events(DAYS)
    await world.retention(table, pace=PACE).move_due(table)
    assert set(await check(world, all_rows)) == {"stored"}
    assert (await world.archived("events")).total() == 4 * ROWS_A_DAY
    assert sorted(await world.blob_names()) == sorted(
        archive["blob"] for archive in await world.archives("events")
    )


@pytest.mark.parametrize(
    ("moment", "states", "blobs"),
    [
        ("rows read", ["stored"], 1),
        ("planned", ["stored", "planned"], 1),
        ("stored", ["stored", "planned"], 2),
        ("read again", ["stored", "planned"], 2),
        ("deleted", ["stored", "stored"], 2),
    ],
)
async def test_killed_between_two_parts_of_a_step(
    tmp_path: Path, moment: str, states: list[str], blobs: int
) -> None:
    assert moment in MOMENTS
    all_rows = await fill(tmp_path / "data")
    with moving(tmp_path / "data", moment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
    async with open_world(tmp_path / "data") as world:
        assert await check(world, all_rows) == states
        assert len(await world.blob_names()) == blobs
        await check_end(world, all_rows)


async def test_killed_again_and_again_at_chance_moments(tmp_path: Path) -> None:
    all_rows = await fill(tmp_path / "data")
    rng = random.Random(11)
    for _ in range(6):
        started_s = time.monotonic()
        with moving(tmp_path / "data", "never") as process:
            try:
                # From before it has opened the file to after it has moved everything.
                process.wait(rng.uniform(0.6, 2.2))
            except subprocess.TimeoutExpired:
                process.kill()
        assert time.monotonic() - started_s < 60
        async with open_world(tmp_path / "data") as world:
            await check(world, all_rows)
    async with open_world(tmp_path / "data") as world:
        await check_end(world, all_rows)
