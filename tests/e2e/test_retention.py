"""Retention in the real program: old rows are moved, killed or not, and the file is compacted."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.clock import read_clock_us
from tests.support.engine_process import ROOT, EngineProcess
from tests.support.retention_world import (
    DAY_US,
    make_dead_letters,
    make_events,
    make_predictions,
    open_world,
)

TABLES = ("events", "predictions", "dead_letters")
SETTINGS = [f"retention.{table}_days=480" for table in TABLES]
DAILY = 300
USERS = 40

Rows = dict[str, Counter[tuple[Any, ...]]]


async def fill(folder: Path) -> Rows:
    """Write a week of 500 days ago, and a day of last week."""
    now_us = read_clock_us()
    async with open_world(folder) as world:
        for place, days_ago in enumerate([500, 499, 498, 497, 496, 7]):
            start_us = now_us - days_ago * DAY_US
            times_us = range(start_us, start_us + DAILY * 60_000_000, 60_000_000)
            await world.write(
                make_events(times_us, first_offset=place * DAILY, users=USERS),
                make_predictions(times_us[:5], first=place * 5),
            )
        await world.write(make_dead_letters([now_us - 500 * DAY_US] * 6))
        return {table: await world.rows(table) for table in TABLES}


def wait_until_moved(engine: EngineProcess, said_before: int) -> None:
    """Wait until an engine has said of the last table, too, that it is through."""
    give_up_s = time.monotonic() + 60
    while count_said(engine) == said_before:
        assert time.monotonic() < give_up_s, engine.log_tail()
        time.sleep(0.05)


def count_said(engine: EngineProcess) -> int:
    said = [json.loads(line) for line in engine.log_path.read_text().splitlines()]
    return sum(
        line.get("event") == "due rows moved to the blob store" and line["table"] == TABLES[-1]
        for line in said
    )


async def check(folder: Path, before: Rows) -> dict[str, int]:
    """Check that each row is in the file or in one archive; return how many the archives have."""
    async with open_world(folder) as world:
        moved = {}
        blobs = await world.blob_names()
        for table in TABLES:
            archived = await world.archived(table)
            assert await world.rows(table) + archived == before[table]
            moved[table] = archived.total()
            for archive in await world.archives(table):
                assert (archive["state"] == "planned") or archive["blob"] in blobs
        return moved


@pytest.mark.parametrize("kills", [3])
def test_old_rows_are_moved_by_an_engine_that_is_killed_meanwhile(
    tmp_path: Path, kills: int
) -> None:
    folder = tmp_path / "data"
    before = trio.run(fill, folder)
    engine = EngineProcess(folder, settings=SETTINGS)
    for attempt in range(kills):
        engine.start()
        time.sleep(0.05 * attempt)  # from the first moment of moving on
        engine.kill()
        trio.run(check, folder, before)
    said_before = count_said(engine)
    with engine:
        wait_until_moved(engine, said_before)
        assert engine.stop() == 0
    moved = trio.run(check, folder, before)
    assert moved["predictions"] == 25
    assert moved["dead_letters"] == 6
    # Without what features over all time rest on: of each user the first and the last, and more.
    assert 5 * DAILY - 20 * USERS < moved["events"] < 5 * DAILY - USERS
    done = subprocess.run(
        [sys.executable, "main.py", "--data", str(folder), "compact", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert trio.run(check, folder, before) == moved
