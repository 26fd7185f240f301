"""Rows of archives and data file as one, whatever is moved while they are read."""

from collections import Counter

import attrs
import pytest
import trio

from engine.clock import to_us
from engine.errors import InvalidArgumentError, ResourceExhaustedError
from engine.history import HistoryQuery, HistoryTable
from tests.support.archived_rows import (
    DAY_US,
    EVENTS,
    PREDICTIONS,
    START_US,
    append,
    key_of,
    make_events,
    make_predictions,
    move,
    read_all,
    read_table,
    spread,
)

MAKE = {EVENTS: make_events, PREDICTIONS: make_predictions}


@pytest.mark.parametrize("table", [EVENTS, PREDICTIONS], ids=lambda table: table.name)
async def test_each_row_is_there_once_in_order_wherever_it_lies(world, table: HistoryTable) -> None:
    await append(world.store, table, MAKE[table](spread(3_000)))
    before = await read_table(world.store, table)
    for day in (2, 3, 5):
        await move(world.store, world.blobs, table, START_US + day * DAY_US, row_group_rows=300)
    assert 1_000 < len(await read_table(world.store, table)) < 2_000

    assert await read_all(world.reads(), HistoryQuery(table)) == before


async def test_the_same_holds_with_archives_in_azure(azure_world) -> None:
    await append(azure_world.store, EVENTS, make_events(spread(2_000)))
    before = await read_table(azure_world.store, EVENTS)
    for day in (3, 6):
        await move(azure_world.store, azure_world.blobs, EVENTS, START_US + day * DAY_US)
    assert await read_all(azure_world.reads(), HistoryQuery(EVENTS)) == before


async def test_rows_that_came_late_are_merged_into_their_place(world) -> None:
    """Archives overlap: what came late is in a later one, though it is older."""
    times = spread(2_000)
    await append(world.store, EVENTS, make_events(times))
    await move(world.store, world.blobs, EVENTS, START_US + 4 * DAY_US)
    await append(world.store, EVENTS, make_events(times[:700], first_offset=5_000))
    await append(world.store, EVENTS, make_events(times[:300], first_offset=9_000))
    await move(world.store, world.blobs, EVENTS, START_US + 6 * DAY_US)
    await append(world.store, EVENTS, make_events(times[100:200], first_offset=12_000))

    rows = await read_all(world.reads(), HistoryQuery(EVENTS))
    assert len(rows) == 3_100
    assert [key_of(EVENTS, row) for row in rows] == sorted(key_of(EVENTS, row) for row in rows)
    places = Counter((row["offset"], row["commit_seq"]) for row in rows)
    assert set(places.values()) == {1}


async def test_a_selection_is_what_it_says(world) -> None:
    await append(world.store, EVENTS, make_events(spread(3_000)))
    everything = await read_table(world.store, EVENTS)
    for day in (2, 5):
        await move(world.store, world.blobs, EVENTS, START_US + day * DAY_US, row_group_rows=100)
    first_us, last_us = START_US + DAY_US, START_US + 7 * DAY_US
    one = attrs.evolve(HistoryQuery(EVENTS), from_us=first_us, until_us=last_us, entity_key=3)
    expected = [
        row
        for row in everything
        if row["user_id"] == 3 and first_us <= _us(row["event_time"]) < last_us
    ]
    assert 100 < len(expected) < 300

    assert await read_all(world.reads(), one) == expected
    for limit in (1, 50, 250, len(expected), 5_000):
        limited = attrs.evolve(one, limit=limit)
        assert await read_all(world.reads(), limited) == expected[:limit]
    at = _us(expected[0]["event_time"])
    moment = attrs.evolve(one, from_us=at, until_us=at + 1)
    assert await read_all(world.reads(), moment) == expected[:1]
    assert await read_all(world.reads(), attrs.evolve(one, entity_key=-5)) == []


async def test_rows_of_one_moment_are_paged_by_the_rest_of_their_key(world) -> None:
    """More of them than a page holds, in the file and in an archive, some with one key."""
    moment = [START_US] * 3_000
    await append(world.store, EVENTS, make_events(moment))
    await move(world.store, world.blobs, EVENTS, START_US + 1, row_group_rows=70)
    await append(world.store, EVENTS, make_events(moment, first_offset=3_000))
    same = make_events([START_US] * 4, first_offset=6_000)
    await append(world.store, EVENTS, same.take([0, 0, 0, 0, 1]))
    rows = await read_all(world.reads(), HistoryQuery(EVENTS))
    assert Counter(row["offset"] for row in rows) == {**dict.fromkeys(range(6_002), 1), 6_000: 4}
    assert [key_of(EVENTS, row) for row in rows] == sorted(key_of(EVENTS, row) for row in rows)


async def test_rows_that_come_after_it_began_are_not_of_the_answer(world) -> None:
    await append(world.store, EVENTS, make_events(spread(2_000)))
    before = await read_table(world.store, EVENTS)
    rows = []
    async with world.reads().open(HistoryQuery(EVENTS)) as read:
        while (batch := await read.next_rows()) is not None:
            rows += batch.to_pylist()
            late = make_events(spread(50, seed=len(rows)), first_offset=10_000 + len(rows))
            await append(world.store, EVENTS, late)
            await move(world.store, world.blobs, EVENTS, START_US + 9 * DAY_US)
    assert rows == before


@pytest.mark.parametrize("table", [EVENTS, PREDICTIONS], ids=lambda table: table.name)
@pytest.mark.parametrize(("moves_a_batch", "awaited", "hours"), [(1, 1, 36), (9, 8, 3)])
async def test_a_move_under_way_takes_nothing_away_and_doubles_nothing(
    world, table: HistoryTable, moves_a_batch: int, awaited: int, hours: int
) -> None:
    """A mover works between two batches, and beside the next one where it is not awaited."""
    await append(world.store, table, MAKE[table](spread(4_000)))
    before = await read_table(world.store, table)
    moved = trio.Semaphore(0)
    wanted = trio.Semaphore(0)

    async def run_mover() -> None:
        for step in range(1, 180):
            await wanted.acquire()
            until_us = START_US + step * hours * DAY_US // 24
            await move(world.store, world.blobs, table, until_us)
            moved.release()

    rows = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_mover)
        async with world.reads().open(HistoryQuery(table)) as read:
            while (batch := await read.next_rows()) is not None:
                rows += batch.to_pylist()
                for _ in range(moves_a_batch):
                    wanted.release()
                for _ in range(awaited):
                    await moved.acquire()
        nursery.cancel_scope.cancel()
    assert len(await read_table(world.store, table)) < 3_000
    assert rows == before


async def test_too_many_reads_at_once_are_told_to_come_again(world) -> None:
    await append(world.store, EVENTS, make_events(spread(10)))
    reads = world.reads(most_reads=2)
    async with reads.open(HistoryQuery(EVENTS)), reads.open(HistoryQuery(EVENTS)):
        with pytest.raises(ResourceExhaustedError, match="2 reads") as refused:
            async with reads.open(HistoryQuery(EVENTS)):
                pass
        assert refused.value.retry_after_s
    assert len(await read_all(reads, HistoryQuery(EVENTS))) == 10


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (HistoryQuery(EVENTS, from_us=5, until_us=5), "until_time"),
        (HistoryQuery(EVENTS, limit=0), "limit"),
    ],
)
async def test_what_cannot_be_meant_is_refused(world, query: HistoryQuery, field: str) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        await read_all(world.reads(), query)


def _us(moment) -> int:
    return to_us(moment)
