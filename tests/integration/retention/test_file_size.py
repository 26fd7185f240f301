"""Steady traffic with retention: the data file stops growing, and freed room is used again."""

from pathlib import Path

import attrs
import pytest

from engine.metrics import STORE_FREE_BYTES
from engine.retention import MovableTable, events
from engine.retention.retention import Pace
from tests.support.retention_world import (
    ALL_MOVABLE,
    DAY_US,
    NOW_US,
    all_events,
    make_events,
    open_world,
)

DAILY = 40_000
DAYS = 3
PACE = Pace(longest_rest_s=0.0)
KEEPING_SOME = events(DAYS, f'{ALL_MOVABLE} AND "offset" % 50 <> 0', [])


async def pass_days(
    folder: Path, table: MovableTable | None, first_day: int, days: int
) -> list[tuple[int, int]]:
    """Take in so many days; return the file's size and its free room after each, in bytes."""
    sizes = []
    # A checkpoint after every commit: until then nothing of the file is used again.
    async with open_world(folder, checkpoint_wal_bytes=1) as opened:
        for day in range(first_day, first_day + days):
            world = attrs.evolve(opened, now_us=NOW_US + day * DAY_US)
            start_us = world.now_us // DAY_US * DAY_US
            times_us = range(start_us, start_us + DAILY * 1_000_000, 1_000_000)
            await world.write(make_events(times_us, first_offset=day * DAILY))
            if table is not None:
                await world.retention(table, pace=PACE).move_due(table)
            size_bytes = (folder / "trellis.duckdb").stat().st_size
            sizes.append((size_bytes, int(STORE_FREE_BYTES._value.get())))
    return sizes


@pytest.mark.parametrize("table", [all_events(DAYS), KEEPING_SOME], ids=["all", "some_stay"])
async def test_with_steady_traffic_the_file_stops_growing(
    tmp_path: Path, table: MovableTable
) -> None:
    sizes = [size for size, _ in await pass_days(tmp_path, table, 0, 20)]
    # Without retention the second half of the days would take as much again as the first.
    assert max(sizes[10:]) < 1.3 * max(sizes[:10])


async def test_room_of_a_large_move_is_used_before_the_file_grows(tmp_path: Path) -> None:
    before_bytes = max(size for size, _ in await pass_days(tmp_path, None, 0, 8))
    [(_, free_bytes)] = await pass_days(tmp_path, all_events(DAYS), 8, 1)
    assert free_bytes > 0
    after = await pass_days(tmp_path, None, 9, 4)
    # Four days more would be half as much again.
    assert max(size for size, _ in after) < 1.2 * before_bytes
