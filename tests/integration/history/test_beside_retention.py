"""Archives that retention itself makes, while they are read."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pyarrow as pa
import pytest
import trio

from engine.history import HistoryQuery, HistoryReads, HistoryTable
from engine.retention import MovableTable, predictions
from engine.retention.retention import Pace
from tests.support.archived_rows import EVENTS, PREDICTIONS, key_of, read_all
from tests.support.retention_world import (
    DAY_US,
    NOW_US,
    RetentionWorld,
    all_events,
    make_events,
    make_predictions,
    open_world,
)

DAYS = 3
TABLES = [(EVENTS, all_events(DAYS)), (PREDICTIONS, predictions(DAYS))]
PACE = Pace(step_rows=150, longest_rest_s=0.0, visit_s=0.01)


@pytest.fixture
async def moving(tmp_path: Path) -> AsyncIterator[RetentionWorld]:
    """Ten days of rows in the data file; the rows of a moment are of two topics."""
    async with open_world(tmp_path) as world:
        for day in range(10):
            first_us = NOW_US - (10 - day) * DAY_US
            times_us = [first_us + place // 4 * 60_000_000 for place in range(400)]
            events = make_events(times_us, first_offset=day * 400)
            topics = pa.array(["other" if place % 3 else "t" for place in range(400)])
            at = events.data.schema.get_field_index("topic")
            field = events.data.schema.field(at)
            await world.write(
                attrs.evolve(events, data=events.data.set_column(at, field, topics)),
                make_predictions(times_us, first=day * 400),
            )
        yield world


def reads_of(world: RetentionWorld) -> HistoryReads:
    return HistoryReads(
        world.store.reader, world.blobs, world.folder, lambda: world.store.writer.commit_seq
    )


@pytest.mark.parametrize(("table", "movable"), TABLES, ids=lambda table: table.name)
async def test_what_retention_has_moved_is_read_as_if_it_had_not(
    moving: RetentionWorld, table: HistoryTable, movable: MovableTable
) -> None:
    before = await read_all(reads_of(moving), HistoryQuery(table))
    assert len(before) == 4_000
    moved = await moving.retention(movable, pace=PACE).move_due(movable)
    assert 2_000 < moved < 4_000
    assert _same(await read_all(reads_of(moving), HistoryQuery(table)), before)


@pytest.mark.parametrize(("table", "movable"), TABLES, ids=lambda table: table.name)
async def test_each_row_is_read_once_while_retention_moves_it(
    moving: RetentionWorld, table: HistoryTable, movable: MovableTable
) -> None:
    """Read again and again, at whatever points of its steps that happens to be."""
    before = await read_all(reads_of(moving), HistoryQuery(table))
    archives_seen = set()
    async with trio.open_nursery() as nursery:
        done = trio.Event()

        async def move() -> None:
            await moving.retention(movable, pace=PACE).move_due(movable)
            done.set()

        nursery.start_soon(move)
        while not done.is_set():
            archives_seen.add(len(await moving.archives(table.name)))
            assert _same(await read_all(reads_of(moving), HistoryQuery(table)), before)
    assert len(archives_seen) > 2
    assert [key_of(table, row) for row in before] == sorted(key_of(table, row) for row in before)


def _same(rows: list[dict[str, object]], expected: list[dict[str, object]]) -> bool:
    # As text, in which a value that is no number equals itself.
    return list(map(str, rows)) == list(map(str, expected))
