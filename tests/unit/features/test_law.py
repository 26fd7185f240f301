"""The law: online, history and the definition give the same value, to the last bit."""

import os
from typing import Any

import attrs
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.features.history import fetch_cells
from engine.features.values import FeatureRow
from tests.unit.features import naive
from tests.unit.features.world import (
    FEATURE_SET,
    NAMES,
    SECOND,
    World,
    answers_of,
    label_table,
    mismatches,
    training_answers,
)

EXAMPLES = int(os.environ.get("TRELLIS_LAW_EXAMPLES", "30"))
"""Deeper runs: TRELLIS_LAW_EXAMPLES=5000."""

START_US = 1_000_000_000 * SECOND
"""A multiple of every tile but the one of 7 s."""

USERS = st.integers(0, 2)
# Times lie close together, on tile edges and a microsecond beside them, some far apart.
TIMES = st.one_of(
    st.sampled_from((START_US, START_US, START_US - 1, START_US - 3 * SECOND)),
    st.integers(-40, 40).map(lambda s: START_US + s * SECOND),
    st.tuples(st.integers(-15, 15), st.sampled_from((-1, 1))).map(
        lambda edge: START_US + edge[0] * SECOND + edge[1]
    ),
    st.integers(-300, 300).map(lambda s: START_US + s * SECOND + 123_457),
)
VALUES = st.sampled_from(
    (None, None, 0.0, -0.0, 0.1, 0.2, 0.3, -7.25, 1e-7, 2.5e-6, 3.5e-6, 19.99, 1e13, -1e300, 1e300)
)


@attrs.frozen
class Write:
    events: tuple[Any, ...]
    uploads: tuple[Any, ...]


@attrs.frozen
class Read:
    user: int
    time: int | None
    names: tuple[str, ...]


@attrs.frozen
class Advance:
    by_us: int


@attrs.frozen
class Restart:
    pass


EVENTS = st.tuples(
    USERS, st.sampled_from(("view", "buy", "cart", "other")), TIMES, VALUES, st.integers(0, 2)
)


def write_object(columns: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{text}' for name, text in columns.items()) + "}"


PROFILES = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(('"free"', '"pro"', '"\\u00fc\\"\\\\"', "null", "3")),
        "age": st.sampled_from(("41", "-1", "9007199254740993", "1.5", "null", '"7"')),
        "score": st.sampled_from(("0.1", "-0.0", "7", "1e300", "12345678901234567890", "null")),
        "other": st.just("[1]"),
    },
).map(write_object)
DEVICES = st.sampled_from(
    ('{"active":true}', '{"active":false}', '{"active":null}', '{"active":1}', "{}", "3", None)
)
UPLOADS = st.one_of(
    st.tuples(USERS, st.just("profiles"), PROFILES, TIMES),
    st.tuples(USERS, st.just("devices"), DEVICES, TIMES),
    st.tuples(USERS, st.just("unknown"), st.just('{"plan":"gold"}'), TIMES),
)
# Over all time later events hide past answers, so windows are also read by themselves.
WINDOWED = tuple(name for name in NAMES if name.endswith(("_10s", "_60s")))
SELECTIONS = st.one_of(
    st.just(NAMES),
    st.just(WINDOWED),
    st.sampled_from(NAMES).map(lambda name: (name,)),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).map(tuple),
)
STEPS = st.lists(
    st.one_of(
        st.builds(
            Write,
            st.lists(EVENTS, max_size=8).map(tuple),
            st.lists(UPLOADS, max_size=4).map(tuple),
        ),
        st.builds(Read, USERS, st.none() | TIMES, SELECTIONS),
        st.builds(Read, USERS, st.none(), SELECTIONS),
        st.builds(Advance, st.sampled_from((1, SECOND, 2 * SECOND, 61 * SECOND))),
        st.builds(Restart),
    ),
    min_size=3,
    max_size=14,
)


class Offsets:
    """Kafka's numbering: in each partition every event has the next offset."""

    def __init__(self) -> None:
        self._next = [0, 0, 0]

    def take(self, partition: int) -> int:
        self._next[partition] += 1
        return self._next[partition]


def events_of(write: Write, offsets: Offsets) -> list[naive.Event]:
    return [
        naive.Event(user, action, time, value, partition, offsets.take(partition))
        for user, action, time, value, partition in write.events
    ]


def uploads_of(write: Write) -> list[naive.Upload]:
    return [naive.Upload(*upload) for upload in write.uploads]


async def check_read(world: World, read: Read) -> None:
    as_of_us = world.now_us if read.time is None else read.time
    expected = world.expect(read.user, as_of_us, read.names)
    served = await world.store.get(read.user, read.names, read.time)
    assert mismatches(answers_of(served), expected, read.names) == {}
    assert served.commit_seq == world.commit_seq
    [batched] = await world.store.get_many([read.user], read.names, read.time)
    assert batched == served

    selection = FEATURE_SET.select(read.names)
    cells = await fetch_cells(
        world.reader, selection, [read.user], as_of_us, world.online.commit_seq
    )
    values = selection.output(selection.compute(cells[read.user], as_of_us))
    history = FeatureRow(read.user, as_of_us, world.commit_seq, values)
    assert mismatches(answers_of(history), expected, read.names) == {}


async def run_steps(steps: list[Any], *, max_bytes: int, fold_events: int) -> None:
    world = World(now_us=START_US, max_bytes=max_bytes, fold_events=fold_events)
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
                case Read():
                    await check_read(world, step)
        for user in range(3):
            await check_read(world, Read(user, None, NAMES))
    finally:
        world.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    max_bytes=st.sampled_from((2**30, 2**30, 3_000, 1)),
    fold_events=st.sampled_from((1, 3, 256)),
)
def test_online_equals_history_equals_the_definition(
    steps: list[Any], max_bytes: int, fold_events: int
) -> None:
    async def run() -> None:
        await run_steps(steps, max_bytes=max_bytes, fold_events=fold_events)

    trio.run(run)


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    writes=st.lists(
        st.builds(
            Write,
            st.lists(EVENTS, max_size=12).map(tuple),
            st.lists(UPLOADS, max_size=6).map(tuple),
        ),
        max_size=4,
    ),
    labels=st.lists(st.tuples(st.integers(0, 3), TIMES), max_size=12),
    names=SELECTIONS,
    before_last=st.booleans(),
)
def test_a_training_set_holds_the_definitions_values(
    writes: list[Write], labels: list[tuple[int, int]], names: tuple[str, ...], before_last: bool
) -> None:
    async def run() -> None:
        world = World(now_us=START_US)
        offsets = Offsets()
        try:
            for write in writes:
                world.commit(events_of(write, offsets), uploads_of(write))
            commit_seq = max(0, world.commit_seq - 1) if before_last else None
            table = await world.store.training_set(
                label_table(labels), names, commit_seq, with_status=True
            )
        finally:
            world.close()
        assert table.select(["entity_key", "event_time"]).equals(label_table(labels))
        found = training_answers(table, names)
        assert len(found) == len(labels) or not labels
        for (user, t), row in zip(labels, found, strict=True):
            expected = world.expect(user, t, names, commit_seq)
            answers = [
                (value, status, e[2]) for (value, status), e in zip(row, expected, strict=True)
            ]
            assert mismatches(answers, expected, names) == {}, (user, t)

    trio.run(run)
