"""The online store: when it answers, when it declines, and what it keeps."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from engine.errors import InvalidArgumentError, StoreError
from engine.features import Decline, FeatureRow, Status
from tests.unit.features import naive
from tests.unit.features.world import (
    FEATURE_SET,
    NAMES,
    SECOND,
    World,
    answers_of,
    label_table,
    mismatches,
)

NOW_US = 1_000_000_000 * SECOND
EVENTS_ONLY = ("views_10s", "any_60s", "sum_total", "last_action", "first_value", "values_total")


@pytest.fixture
def world() -> Iterator[World]:
    world = World(now_us=NOW_US)
    yield world
    world.close()


@pytest.fixture
def tight() -> Iterator[World]:
    """A world whose online store keeps nobody."""
    world = World(now_us=NOW_US, max_bytes=1)
    yield world
    world.close()


def view(user: int, time: int, offset: int = 0, value: float | None = 1.5) -> naive.Event:
    return naive.Event(user, "view", time, value, 0, offset)


def read(world: World, user: int, as_of_us: int) -> FeatureRow | Decline:
    return world.online.read(user, FEATURE_SET.select(NAMES), as_of_us)


def assert_exact(world: World, row: FeatureRow | Decline) -> None:
    assert isinstance(row, FeatureRow)
    expected = world.expect(row.entity_key, row.as_of_us)
    assert mismatches(answers_of(row), expected) == {}


async def test_reads_at_the_clocks_time_are_answered_from_memory(world: World) -> None:
    for second in range(100):
        world.now_us = NOW_US + second * SECOND
        world.commit([view(second % 3, world.now_us - second % 7 * SECOND, second)])
        for user in range(3):
            assert_exact(world, read(world, user, world.now_us))


async def test_a_row_in_memory_holds_until_time_or_a_commit_changes_it(world: World) -> None:
    world.commit([view(1, NOW_US - 9 * SECOND)])
    for microseconds in (0, 1, SECOND, 3 * SECOND - 1, 3 * SECOND, 8 * SECOND, 70 * SECOND):
        world.now_us = NOW_US + microseconds
        assert_exact(world, read(world, 1, world.now_us))
    world.commit([view(1, world.now_us)])
    assert_exact(world, read(world, 1, world.now_us))


async def test_a_kept_value_becomes_stale_one_microsecond_past_its_ttl(world: World) -> None:
    world.commit([view(1, NOW_US)])
    last_action = FEATURE_SET.select(["last_action"])
    statuses = []
    for after_us in (0, 5 * SECOND, 5 * SECOND + 1, 6 * SECOND):
        row = world.online.read(1, last_action, NOW_US + after_us)
        assert isinstance(row, FeatureRow)
        statuses.append(row.values[0].status)
        world.now_us = NOW_US + after_us
    assert statuses == [Status.PRESENT, Status.PRESENT, Status.STALE, Status.STALE]


async def test_an_entity_never_seen_is_unknown_while_the_store_is_complete(world: World) -> None:
    row = read(world, 77, NOW_US)
    assert isinstance(row, FeatureRow)
    assert all(value.value is None for value in row.values)


async def test_events_ahead_of_the_clock_wait_and_then_count(world: World) -> None:
    world.commit([view(1, NOW_US - SECOND), view(1, NOW_US + 3 * SECOND, 1)])
    for _ in range(6):
        assert_exact(world, read(world, 1, world.now_us))
        world.now_us += SECOND


async def test_a_past_time_that_later_events_hide_is_declined(world: World) -> None:
    world.commit([view(1, NOW_US - 2 * SECOND), view(1, NOW_US, 1)])
    assert_exact(world, read(world, 1, NOW_US))
    assert read(world, 1, NOW_US - SECOND) is Decline.NOT_EXACT


async def test_a_past_time_is_declined_to_the_microsecond(world: World) -> None:
    windowed = FEATURE_SET.select(["any_10s"])
    inside_a_tile_us = world.now_us = NOW_US + SECOND
    world.commit([view(1, NOW_US - SECOND), view(1, inside_a_tile_us, 1)])
    assert isinstance(world.online.read(1, windowed, inside_a_tile_us), FeatureRow)
    assert world.online.read(1, windowed, inside_a_tile_us - 1) is Decline.NOT_EXACT


async def test_an_answer_about_the_past_is_not_kept_for_the_present(world: World) -> None:
    windowed = FEATURE_SET.select(["any_10s"])
    world.commit([view(1, NOW_US - 9 * SECOND), view(1, NOW_US, 1)])
    for as_of_us in (NOW_US, NOW_US - 5 * SECOND, NOW_US):
        row = world.online.read(1, windowed, as_of_us)
        assert isinstance(row, FeatureRow)
        expected = world.expect(1, as_of_us, windowed.names)
        assert mismatches(answers_of(row), expected, windowed.names) == {}


@pytest.mark.parametrize("reverse", [False, True])
async def test_simultaneous_events_of_a_commit_stand_by_partition_then_offset(
    world: World, reverse: bool
) -> None:
    places = [(2, 1), (1, 7), (1, 9), (0, 50)]
    events = [
        naive.Event(1, f"p{partition}o{offset}", NOW_US, float(offset), partition, offset)
        for partition, offset in places
    ]
    world.commit(events[::-1] if reverse else events)
    names = ("last_action", "first_action_10s", "first_value")
    row = await world.store.get(1, names)
    assert [value.value for value in row.values] == ["p2o1", "p0o50", 50.0]
    table = await world.store.training_set(label_table([(1, NOW_US)]), names)
    assert [table[name][0].as_py() for name in names] == ["p2o1", "p0o50", 50.0]
    await world.restart()
    assert await world.store.get(1, names) == row


async def test_a_time_before_what_is_kept_is_declined_and_history_answers(world: World) -> None:
    world.commit([view(1, NOW_US)])
    world.now_us = NOW_US + 1_000 * SECOND
    world.commit([view(1, world.now_us, 1)])
    assert_exact(world, read(world, 1, world.now_us))
    assert read(world, 1, NOW_US) is Decline.NOT_EXACT
    assert_exact(world, await world.store.get(1, NAMES, NOW_US))


async def test_a_commit_that_was_taken_in_already_is_passed_over(world: World) -> None:
    commit = world.write([view(1, NOW_US)], [])
    world.online.apply(commit)
    world.online.apply(commit)
    assert_exact(world, read(world, 1, NOW_US))


async def test_entities_past_the_budget_leave_and_come_back_when_read(tight: World) -> None:
    tight.commit([view(user, NOW_US - SECOND, user) for user in range(20)])
    assert len(tight.online) == 0
    assert not tight.online.complete
    assert read(tight, 3, NOW_US) is Decline.NOT_RESIDENT
    assert_exact(tight, await tight.store.get(3, NAMES))


async def test_an_entity_that_was_read_outlives_one_that_was_not() -> None:
    world = World(now_us=NOW_US, max_bytes=40_000)
    try:
        world.commit([view(0, NOW_US)])
        for user in range(1, 200):
            assert isinstance(
                world.online.read(0, FEATURE_SET.select(EVENTS_ONLY), NOW_US), FeatureRow
            )
            world.commit([view(user, NOW_US, user)])
        assert not world.online.complete
        assert read(world, 1, NOW_US) is Decline.NOT_RESIDENT
    finally:
        world.close()


class BetweenQueries:
    """The world's reader, with something happening after each of the first queries."""

    def __init__(self, world: World, *happenings: Callable[[], None]) -> None:
        self._reader = world.reader
        self._happenings = [*happenings]

    async def fetch_rows(self, *args: Any, **options: Any) -> list[tuple[Any, ...]]:
        return await self._reader.fetch_rows(*args, **options)

    async def fetch_arrow(self, *args: Any, **options: Any) -> pa.Table:
        result = await self._reader.fetch_arrow(*args, **options)
        if self._happenings:
            self._happenings.pop(0)()
        return result


def crowd(user: int) -> World:
    """A world in which `user` has history and was evicted."""
    world = World(now_us=NOW_US, max_bytes=9_000)
    uploads = [naive.Upload(user, "profiles", '{"plan":"free"}', NOW_US - SECOND)]
    world.commit([view(user, NOW_US - SECOND)], uploads)
    world.commit([view(other, NOW_US, other) for other in range(100, 120)])
    assert read(world, user, NOW_US) is Decline.NOT_RESIDENT
    return world


async def test_commits_during_a_load_are_neither_lost_nor_counted_twice() -> None:
    world = crowd(1)

    def commit(offset: int) -> None:
        world.commit(
            [view(1, NOW_US - offset, offset)],
            [naive.Upload(1, "profiles", f'{{"plan":"{offset}"}}', NOW_US)],
        )

    reader = BetweenQueries(world, lambda: commit(1), lambda: commit(2), lambda: commit(3))
    try:
        await world.online.load(reader, 1)
        assert_exact(world, read(world, 1, NOW_US))
    finally:
        world.close()


async def test_commits_during_a_rebuild_are_taken_in_at_its_end(world: World) -> None:
    world.commit([view(1, NOW_US - SECOND)])
    seen = []

    def commit() -> None:
        world.commit([view(1, NOW_US, 1), view(2, NOW_US, 2)])
        seen.append(read(world, 2, NOW_US))

    await world.online.rebuild(BetweenQueries(world, commit), world.commit_seq)
    assert seen == [Decline.NOT_RESIDENT]
    for user in (1, 2):
        assert_exact(world, read(world, user, NOW_US))


async def test_a_failed_rebuild_leaves_a_store_that_loads_what_is_read(world: World) -> None:
    world.commit([view(1, NOW_US - SECOND)])

    def fail() -> None:
        world.commit([view(1, NOW_US, 1)])
        raise StoreError("the disk is gone")

    with pytest.raises(StoreError, match="the disk is gone"):
        await world.online.rebuild(BetweenQueries(world, fail), world.commit_seq)
    assert read(world, 1, NOW_US) is Decline.NOT_RESIDENT
    assert_exact(world, await world.store.get(1, NAMES))
    assert_exact(world, read(world, 1, NOW_US))


async def test_a_failed_load_can_be_tried_again() -> None:
    world = crowd(1)

    def fail() -> None:
        raise StoreError("the disk is busy")

    try:
        with pytest.raises(StoreError, match="the disk is busy"):
            await world.online.load(BetweenQueries(world, fail), 1)
        assert_exact(world, await world.store.get(1, NAMES))
        assert_exact(world, read(world, 1, NOW_US))
    finally:
        world.close()


async def test_a_rebuilt_store_answers_what_the_one_before_did(world: World) -> None:
    for second in range(0, 200, 3):
        time = NOW_US - second * SECOND
        world.commit([view(second % 4, time, second, value=second / 7)])
    before = [read(world, user, NOW_US) for user in range(5)]
    await world.restart()
    assert [read(world, user, NOW_US) for user in range(5)] == before


async def test_an_answer_can_be_had_again_as_of_its_commit(world: World) -> None:
    world.commit([view(1, NOW_US - SECOND)])
    first = await world.store.get(1, NAMES)
    world.commit([view(1, NOW_US - 2 * SECOND, 1)])
    world.now_us += 100 * SECOND
    again = await world.store.get(1, NAMES, first.as_of_us, first.commit_seq)
    assert again == first
    with pytest.raises(InvalidArgumentError, match="commit_seq: 3 is not a commit so far"):
        await world.store.get(1, NAMES, None, 3)


async def test_many_entities_come_in_order_some_from_memory_some_from_history() -> None:
    world = crowd(1)
    try:
        keys = [119, 1, 118, 4_711, 1]
        rows = await world.store.get_many(keys, NAMES)
        assert [row.entity_key for row in rows] == keys
        for row in rows:
            assert_exact(world, row)
    finally:
        world.close()


async def test_an_action_beyond_those_named_still_tells_actions_apart(world: World) -> None:
    events = [naive.Event(1, f"action {n}", NOW_US - n, None, 0, n) for n in range(50)]
    world.commit(events)
    assert_exact(world, read(world, 1, NOW_US))


async def test_training_keys_must_have_their_columns(world: World) -> None:
    times = pa.array([NOW_US], pa.timestamp("us"))
    with pytest.raises(InvalidArgumentError, match="no column 'entity_key'"):
        await world.store.training_set(pa.table({"event_time": times}), NAMES)
    texts = pa.table({"entity_key": ["1"], "event_time": times})
    with pytest.raises(InvalidArgumentError, match="'entity_key' is string, not int64"):
        await world.store.training_set(texts, NAMES)
    empty = pa.table({"entity_key": pa.array([None], pa.int64()), "event_time": times})
    with pytest.raises(InvalidArgumentError, match="'entity_key' holds NULLs"):
        await world.store.training_set(empty, NAMES)


async def test_a_training_set_for_no_labels_has_its_columns(world: World) -> None:
    table = await world.store.training_set(label_table([]), NAMES, with_status=True)
    assert table.num_rows == 0
    assert table.column_names[:4] == ["entity_key", "event_time", NAMES[0], f"{NAMES[0]}__status"]
