"""After events have moved, every answer that is given is the one from before, to the last bit."""

from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.clock import to_datetime
from engine.errors import FailedPreconditionError
from engine.features import FeatureStore, OnlineStore
from engine.features.definitions import EventFeature
from engine.features.history import fetch_cells
from engine.features.horizon import Horizon, fetch_kept_rules
from engine.features.resting import write_movable_events
from engine.features.values import FeatureValue, Status
from engine.records import Commit, Upsert, WriteRequest
from tests.unit.features import naive
from tests.unit.features.test_law import (
    EXAMPLES,
    SELECTIONS,
    START_US,
    STEPS,
    TIMES,
    Advance,
    Offsets,
    Read,
    Restart,
    Write,
    events_of,
    uploads_of,
)
from tests.unit.features.world import (
    DEFINITIONS,
    FEATURE_SET,
    NAMES,
    SECOND,
    World,
    answers_of,
    label_table,
    mismatches,
    training_answers,
)

ASKED = tuple(name for name in NAMES if name not in ("views_total", "sum_total", "mean_total"))
"""Without those on account of which nearly everything stays."""
RESTING = tuple(feature for feature in FEATURE_SET.events if feature.name in ASKED)


class MovingWorld(World):
    """Events before a bound leave the data file; what is expected is known of all there were."""

    def __init__(self, resting: tuple[EventFeature, ...] = RESTING, **settings: Any) -> None:
        self._resting = resting
        super().__init__(**settings)

    def _open(self) -> None:
        self.horizon = Horizon()
        self.online = OnlineStore(FEATURE_SET, self._settings, self.clock, self.horizon)
        self.store = FeatureStore(
            FEATURE_SET, self.online, self.reader, self.clock, horizon=self.horizon
        )

    async def restart(self) -> None:
        self._open()
        await self.horizon.load(self.reader)
        await self.online.rebuild(self.reader, self.commit_seq)

    def move(self, until_us: int, last_commit: int) -> int:
        """Move what may be moved; return how many events that was."""
        moved = self.delete(until_us, last_commit)
        if moved:
            self.note_move(until_us, last_commit)
        return moved

    def note_move(self, until_us: int, last_commit: int) -> None:
        self.plan(until_us, last_commit)
        self._connection.execute("UPDATE archives SET state = 'stored'")

    def plan(self, until_us: int, last_commit: int) -> None:
        """Commit a plan, and tell the horizon of it."""
        self.commit_seq += 1
        row = {
            "archive_id": f"{self.commit_seq}",
            "table_name": "events",
            "state": "planned",
            "planned_at": to_datetime(self.now_us),
            "until_time": to_datetime(until_us),
            "last_commit_seq": last_commit,
            "blob": "b",
            "kept": "[]",
        }
        self._connection.execute(
            f"INSERT INTO archives ({', '.join(row)}, commit_seq) "
            f"VALUES ({', '.join('?' for _ in row)}, {self.commit_seq})",
            [*row.values()],
        )
        upsert = Upsert("archives", tuple(row), [tuple(row.values())])
        commit = Commit(self.commit_seq, (WriteRequest((upsert,)),))
        self.horizon.note_commit(commit)
        self.online.apply(commit)

    def delete(self, until_us: int, last_commit: int) -> int:
        sql = write_movable_events(self._resting)
        [(moved,)] = self._connection.execute(
            'DELETE FROM events WHERE (event_time, commit_seq, topic, partition, "offset") IN '
            f'(SELECT (event_time, commit_seq, topic, partition, "offset") FROM ({sql}))',
            {"until_us": until_us, "last_commit_seq": last_commit},
        ).fetchall()
        return int(moved)


@attrs.frozen
class Move:
    """Of what is older than this, up to so many commits ago."""

    age_us: int
    commits_ago: int


async def check_read(world: MovingWorld, read: Read) -> None:
    as_of_us = world.now_us if read.time is None else read.time
    expected = world.expect(read.user, as_of_us, read.names)
    complete = as_of_us >= world.store.earliest_us(read.names)
    try:
        served = await world.store.get(read.user, read.names, read.time)
    except FailedPreconditionError:
        assert not complete
    else:
        assert mismatches(answers_of(served), expected, read.names) == {}
    if complete:
        selection = FEATURE_SET.select(read.names)
        cells = await fetch_cells(
            world.reader, selection, [read.user], as_of_us, world.online.commit_seq
        )
        values = selection.output(selection.compute(cells[read.user], as_of_us))
        found = [(v.value, v.status.value, v.event_time_us) for v in values]
        assert mismatches(found, expected, read.names) == {}


async def run_steps(steps: list[Any], *, max_bytes: int, fold_events: int) -> None:
    world = MovingWorld(now_us=START_US, max_bytes=max_bytes, fold_events=fold_events)
    offsets = Offsets()
    try:
        for step in steps:
            match step:
                case Write():
                    world.commit(events_of(step, offsets), uploads_of(step))
                case Advance(by_us=by_us):
                    world.now_us += by_us
                case Restart():
                    await world.restart()
                case Move():
                    world.move(
                        world.now_us - step.age_us, max(0, world.commit_seq - step.commits_ago)
                    )
                case Read():
                    names = tuple(name for name in step.names if name in ASKED)
                    if names:
                        await check_read(world, attrs.evolve(step, names=names))
        for user in range(3):
            await check_read(world, Read(user, None, ASKED))
            await check_read(world, Read(user, world.now_us + 30 * SECOND, ASKED))
        await world.restart()
        for user in range(3):
            await check_read(world, Read(user, None, ASKED))
    finally:
        world.close()


# Some leave windows whole, as the configuration has it, and some cut into them.
AGES = st.sampled_from((-5, 10, 67, 130, 250)).map(lambda s: s * SECOND)
MOVES = st.builds(Move, AGES, st.integers(0, 2))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=STEPS,
    move=MOVES,
    after=STEPS,
    max_bytes=st.sampled_from((2**30, 2**30, 3_000, 1)),
    fold_events=st.sampled_from((1, 3, 256)),
)
def test_what_is_read_from_memory_and_history_is_what_it_was(
    before: list[Any], move: Move, after: list[Any], max_bytes: int, fold_events: int
) -> None:
    async def run() -> None:
        steps = [*before, move, *after]
        await run_steps(steps, max_bytes=max_bytes, fold_events=fold_events)

    trio.run(run)


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    writes=STEPS.map(lambda steps: [step for step in steps if isinstance(step, Write)]),
    move=MOVES,
    labels=st.lists(st.tuples(st.integers(0, 3), TIMES), min_size=1, max_size=12),
    names=st.just(ASKED)
    | st.lists(st.sampled_from(ASKED), min_size=1, max_size=4, unique=True).map(tuple),
)
def test_a_training_set_is_what_it_was_or_refused(
    writes: list[Write], move: Move, labels: list[tuple[int, int]], names: tuple[str, ...]
) -> None:
    async def run() -> None:
        world = MovingWorld(now_us=START_US)
        offsets = Offsets()
        try:
            for write in writes:
                world.commit(events_of(write, offsets), uploads_of(write))
            world.move(world.now_us - move.age_us, max(0, world.commit_seq - move.commits_ago))
            whole = min(t for _, t in labels) >= world.store.earliest_us(names)
            try:
                table = await world.store.training_set(label_table(labels), names, with_status=True)
            except FailedPreconditionError:
                assert not whole
                return
            assert whole
        finally:
            world.close()
        found = training_answers(table, names)
        for (user, t), row in zip(labels, found, strict=True):
            expected = world.expect(user, t, names)
            answers = [(v, status, e[2]) for (v, status), e in zip(row, expected, strict=True)]
            assert mismatches(answers, expected, names) == {}, (user, t)

    trio.run(run)


def may_be_lost(name: str, was: Any, t: int, until_us: int, *, is_later: bool) -> bool:
    """Tell whether a value need not be told any more, from what the documentation promises."""
    match DEFINITIONS[name]:
        case naive.Latest():
            return False
        case naive.Aggregate(kind=kind, window=window, tile=tile):
            if window is not None and tile is not None:
                whole = (t - window) // tile * tile >= until_us
            else:
                whole = kind in ("count", "sum", "mean") or is_later
            return not whole or (not is_later and was in (None, 0))
    raise AssertionError(name)


def inputs_of(name: str) -> list[str]:
    definition = DEFINITIONS[name]
    if not isinstance(definition, naive.Formula):
        return [name]
    return [base for one in definition.inputs for base in inputs_of(one)]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    writes=STEPS.map(lambda steps: [step for step in steps if isinstance(step, Write)]),
    moves=st.lists(MOVES, min_size=1, max_size=2),
    asked=st.lists(st.tuples(st.integers(0, 3), TIMES, st.integers(0, 4)), min_size=1, max_size=6),
    names=SELECTIONS,
    with_totals=st.booleans(),
)
def test_what_is_rebuilt_is_what_it_was_and_all_is_rebuilt_that_can_be(
    writes: list[Write],
    moves: list[Move],
    asked: list[tuple[int, int, int]],
    names: tuple[str, ...],
    with_totals: bool,
) -> None:
    if not with_totals:
        names = tuple(name for name in names if name in ASKED) or ASKED

    async def run() -> None:
        world = MovingWorld(FEATURE_SET.events if with_totals else RESTING, now_us=START_US)
        offsets = Offsets()
        try:
            for write in writes:
                world.commit(events_of(write, offsets), uploads_of(write))
            last = world.commit_seq
            for move in moves:
                until_us, last_commit = world.now_us - move.age_us, last - move.commits_ago
                if last_commit > 0 and not world.move(until_us, last_commit):
                    # As one of which all rows are another entity's.
                    world.note_move(until_us, last_commit)
            for user, t, commits_ago in asked:
                commit_seq = max(0, last - commits_ago)
                rebuilt = await world.store.rebuild(user, names, t, commit_seq)
                check_rebuilt(world, names, user, t, commit_seq, rebuilt)
        finally:
            world.close()

    trio.run(run)


def check_rebuilt(
    world: MovingWorld,
    names: tuple[str, ...],
    user: int,
    t: int,
    commit_seq: int,
    rebuilt: tuple[FeatureValue | None, ...],
) -> None:
    expected = world.expect(user, t, names, commit_seq)
    for name, was, found in zip(names, expected, rebuilt, strict=True):
        if found is not None:
            answer = (found.value, found.status.value, found.event_time_us)
            assert mismatches([answer], [was], [name]) == {}, (user, t, commit_seq)
            continue
        assert world.horizon.commit_seq, "nothing has been moved"
        until_us = world.horizon.time_us
        is_later = t >= until_us and commit_seq >= world.horizon.commit_seq
        bases = inputs_of(name)
        values = [value for value, _, _ in world.expect(user, t, bases, commit_seq)]
        assert any(
            may_be_lost(base, value, t, until_us, is_later=is_later)
            for base, value in zip(bases, values, strict=True)
        ), (name, user, t, commit_seq)


async def test_a_total_is_rebuilt_behind_the_horizon_but_not_from_nothing() -> None:
    world = MovingWorld(FEATURE_SET.events, now_us=START_US)
    early_us = START_US - 100 * SECOND
    try:
        world.commit([view(early_us, 1)])
        # The first event now came later, so that it tells nothing of what was known before.
        world.commit([other(early_us - SECOND, 2), other(early_us, 3), other(early_us + SECOND, 4)])
        world.commit([naive.Event(2, "other", early_us, None, 0, 5)])
        world.commit([naive.Event(2, "other", t, None, 0, 6) for t in (early_us - 1, early_us + 1)])
        assert world.move(START_US - 60 * SECOND, world.commit_seq) > 0
        names = ("views_total", "any_10s", "last_action", "plan")

        async def rebuild(user: int, as_of_us: int, commit_seq: int) -> list[Any]:
            values = await world.store.rebuild(user, names, as_of_us, commit_seq)
            return [value and (value.value, value.status.value) for value in values]

        missing = (None, "MISSING")
        assert await rebuild(1, early_us, 1) == [(1, "PRESENT"), None, None, missing]
        assert await rebuild(1, START_US, 1) == [(1, "PRESENT"), (0, "PRESENT"), None, missing]
        # It had an event by then, and so counts of zero; nothing that is left says so.
        assert await rebuild(2, START_US, 3) == [None, None, None, missing]
        assert await rebuild(9, START_US, world.commit_seq) == [missing, missing, missing, missing]
    finally:
        world.close()


async def test_a_value_that_a_move_overtakes_is_not_rebuilt() -> None:
    world = MovingWorld(now_us=START_US)
    try:
        world.commit([view(START_US - s * SECOND, s) for s in range(20)])
        commit_seq = world.commit_seq
        reader = PlanInBetween(world, START_US - 5 * SECOND)
        store = FeatureStore(FEATURE_SET, world.online, reader, world.clock, horizon=world.horizon)
        whole = await world.store.rebuild(1, ("views_10s", "plan"), START_US, commit_seq)
        assert [value and value.value for value in whole] == [11, None]
        overtaken = await store.rebuild(1, ("views_10s", "rate", "plan"), START_US, commit_seq)
        assert [value and value.status for value in overtaken] == [None, None, Status.MISSING]
    finally:
        world.close()


def other(t: int, offset: int) -> naive.Event:
    return naive.Event(1, "other", t, None, 0, offset)


def view(t: int, offset: int) -> naive.Event:
    return naive.Event(1, "view", t, None, 0, offset)


async def test_a_read_behind_the_horizon_is_refused_with_the_earliest_time_that_works() -> None:
    world = MovingWorld(now_us=START_US)
    try:
        world.commit([view(START_US - s * SECOND, s) for s in range(120)])
        first_commit = world.commit_seq
        world.commit([view(START_US - 1, 500)])
        assert world.move(START_US - 60 * SECOND, world.commit_seq) > 0
        earliest_us = world.store.earliest_us(("views_10s",))
        assert earliest_us == START_US - 50 * SECOND
        early_us = START_US - 55 * SECOND
        with pytest.raises(FailedPreconditionError) as refused:
            await world.store.training_set(label_table([(1, early_us)]), ("views_10s",))
        for part in ("views_10s", f"{to_datetime(earliest_us).isoformat()}Z", "main.py history"):
            assert part in str(refused.value)
        with pytest.raises(
            FailedPreconditionError, match=f"commit {world.commit_seq - 1} or later"
        ):
            await world.store.get(1, ("views_10s",), START_US, first_commit)
        # One without a window can be told earlier than one that looks back from then.
        assert world.store.earliest_us(("since_view",)) == START_US - 60 * SECOND
        assert world.store.earliest_us(("plan",)) == 0
        assert world.store.earliest_us(("plan",), 5 * SECOND) == START_US - 55 * SECOND
    finally:
        world.close()


class PlanInBetween:
    """Reads as the data file's reader does; a step of a move comes while the first query runs."""

    def __init__(self, world: MovingWorld, until_us: int) -> None:
        self._world = world
        self._until_us = until_us
        self._done = False

    def _move(self) -> None:
        if not self._done:
            self._done = True
            world = self._world
            world.plan(self._until_us, world.commit_seq)
            assert world.delete(self._until_us, world.commit_seq) > 0

    async def fetch_rows(self, *args: Any, **options: Any) -> Any:
        self._move()
        return await self._world.reader.fetch_rows(*args, **options)

    async def fetch_arrow(self, *args: Any, **options: Any) -> Any:
        self._move()
        return await self._world.reader.fetch_arrow(*args, **options)


async def test_a_read_that_a_move_overtakes_is_refused_and_not_half_empty() -> None:
    world = MovingWorld(now_us=START_US, max_bytes=1)
    try:
        world.commit([view(START_US - s * SECOND, s) for s in range(20)])
        await world.restart()
        reader = PlanInBetween(world, START_US - 5 * SECOND)
        store = FeatureStore(FEATURE_SET, world.online, reader, world.clock, horizon=world.horizon)
        with pytest.raises(FailedPreconditionError, match="views_10s"):
            await store.get(1, ("views_10s",))
    finally:
        world.close()


async def test_memory_filled_after_a_move_does_not_answer_for_half_empty_windows() -> None:
    world = MovingWorld(now_us=START_US)
    try:
        world.commit([view(START_US - s * SECOND, s) for s in range(20)])
        # As only a clock that was set back makes it: the configuration keeps whole windows.
        assert world.move(START_US - 5 * SECOND, world.commit_seq) > 0
        [_, count, *_] = (await world.store.get(1, ("since_view", "views_10s"))).values
        assert count.value == 11
        await world.restart()
        with pytest.raises(FailedPreconditionError, match="views_10s"):
            await world.store.get(1, ("views_10s",))
    finally:
        world.close()


async def test_a_training_set_that_a_move_overtakes_is_refused() -> None:
    world = MovingWorld(now_us=START_US)
    try:
        world.commit([view(START_US - s * SECOND, s) for s in range(20)])
        reader = PlanInBetween(world, START_US - 5 * SECOND)
        store = FeatureStore(FEATURE_SET, world.online, reader, world.clock, horizon=world.horizon)
        with pytest.raises(FailedPreconditionError, match="views_10s"):
            await store.training_set(label_table([(1, START_US)]), ("views_10s",))
    finally:
        world.close()


async def test_the_horizon_is_known_again_after_a_restart_and_plans_that_failed_are_forgotten() -> (
    None
):
    world = MovingWorld(now_us=START_US)
    try:
        world.commit([view(START_US - s * SECOND, s) for s in range(120)])
        last = world.commit_seq
        world.move(START_US - 60 * SECOND, last)
        world.plan(START_US, last)
        assert world.horizon.time_us == START_US
        await world.restart()
        assert (world.horizon.time_us, world.horizon.commit_seq) == (START_US - 60 * SECOND, last)
        assert await fetch_kept_rules(world.reader) == [[]]
    finally:
        world.close()
