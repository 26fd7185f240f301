"""Labels by SQL equal labels by reading every event, for any events."""

import datetime
import functools
import json
from collections.abc import Sequence

import attrs
import duckdb
import pyarrow as pa
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import LabelSpec, ObservationsSpec, UploadSpec
from engine.models.labels import (
    History,
    fetch_labels,
    fetch_observations,
    find_history,
)
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.reader import Reader

SECOND = 1_000_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
PROFILES = UploadSpec(
    entity="user",
    entity_key="user_id",
    time_column="at",
    columns={"plan": "string", "age": "int64", "score": "double", "active": "bool"},
)


@attrs.frozen
class Event:
    user_id: int
    action: str
    at_us: int
    value: float | None = None
    commit_seq: int = 1


@functools.cache
def open_file() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    apply_migrations(connection, load_migrations())
    return connection


def open_reader(
    events: Sequence[Event] = (), rows: Sequence[tuple[int, int, object]] = ()
) -> Reader:
    connection = open_file()
    connection.execute("DELETE FROM events; DELETE FROM feature_history")
    for n, event in enumerate(events):
        connection.execute(
            "INSERT INTO events VALUES (?, ?, make_timestamp(?), make_timestamp(0), ?, NULL, "
            "'t', 0, ?, ?)",
            (event.user_id, event.action, event.at_us, event.value, n, event.commit_seq),
        )
    for ordinal, (key, at_us, fields) in enumerate(rows):
        connection.execute(
            "INSERT INTO feature_history VALUES (?, 'profiles', ?, make_timestamp(?), ?, 1)",
            (key, json.dumps(fields), at_us, ordinal),
        )
    return Reader(connection, threads=1)


def labels_of(
    reader: Reader, label: LabelSpec, observations: ObservationsSpec, history: History
) -> list[tuple[int, int, object]]:
    async def fetch() -> pa.Table:
        return await fetch_labels(
            reader, label, observations, {"profiles": PROFILES}, history, seed=1
        )

    table = trio.run(fetch)
    return list(
        zip(
            table["entity_key"].to_pylist(),
            table["event_time"].cast(pa.int64()).to_pylist(),
            table["label"].to_pylist(),
            strict=True,
        )
    )


def naive_labels(
    events: Sequence[Event], label: LabelSpec, observations: ObservationsSpec, history: History
) -> list[tuple[int, int, object]]:
    known = [e for e in events if e.commit_seq <= history.commit_seq]
    last_us = history.end_us - label.within * SECOND
    if observations.at:
        moments = sorted(
            {(at - EPOCH) // datetime.timedelta(microseconds=1) for at in observations.at}
        )
    else:
        every_us = observations.every * SECOND
        first_us = max(0, last_us - observations.last * SECOND)
        if observations.settle is not None and known:
            first_us = max(first_us, min(e.at_us for e in known) + observations.settle * SECOND)
        moments = [m for m in range(0, last_us + 1, every_us) if m >= first_us]
    found: list[tuple[int, int, object]] = []
    for t in moments:
        for user in sorted({e.user_id for e in known}):
            theirs = [e for e in known if e.user_id == user]
            if t > last_us or not any(
                t - observations.active * SECOND < e.at_us <= t for e in theirs
            ):
                continue
            after = [
                e
                for e in theirs
                if t < e.at_us <= t + label.within * SECOND
                and (not label.where or e.action in label.where["action"])
            ]
            micros = sum(round((e.value or 0.0) * 1e6) for e in after)
            value = {
                "exists": len(after) > 0,
                "count": float(len(after)),
                "sum": micros / 1e6,
            }[label.aggregate]
            found.append((user, t, value))
    return found


events_strategy = st.lists(
    st.builds(
        Event,
        user_id=st.integers(1, 3),
        action=st.sampled_from(["view", "buy"]),
        # On the grid and beside it, so that edges are met.
        at_us=st.integers(0, 60).map(lambda s: s * SECOND // 2) | st.integers(0, 30 * SECOND),
        value=st.none() | st.floats(-1e6, 1e6),
        commit_seq=st.sampled_from([1, 1, 1, 2, 3]),
    ),
    min_size=2,
    max_size=25,
)
label_strategy = st.builds(
    LabelSpec,
    within=st.integers(1, 8),
    where=st.sampled_from([{}, {"action": ("buy",)}, {"action": ("buy", "view")}]),
    aggregate=st.sampled_from(["exists", "count", "sum"]),
)
moment_strategy = st.integers(0, 30).map(lambda s: EPOCH + datetime.timedelta(seconds=s))
observations_strategy = st.builds(
    ObservationsSpec,
    every=st.integers(1, 7),
    last=st.integers(10, 30),
    active=st.integers(1, 20),
    at=st.just(()) | st.lists(moment_strategy, min_size=1, max_size=4).map(tuple),
    settle=st.none() | st.integers(1, 20),
)
history_strategy = st.builds(
    History, commit_seq=st.sampled_from([1, 2, 3]), end_us=st.integers(15, 30).map(SECOND.__mul__)
)


@settings(max_examples=150, deadline=None)
@given(events_strategy, label_strategy, observations_strategy, history_strategy)
def test_labels_are_those_that_reading_every_event_gives(
    events: list[Event], label: LabelSpec, observations: ObservationsSpec, history: History
) -> None:
    # What comes later than the end is there, as it is when a training reads an older commit.
    found = labels_of(open_reader(events), label, observations, history)
    assert found == naive_labels(events, label, observations, history)


def test_an_event_at_the_time_of_the_observation_is_not_its_outcome() -> None:
    reader = open_reader([Event(1, "buy", 10 * SECOND), Event(1, "buy", 15 * SECOND)])
    label = LabelSpec(within=5, where={"action": ("buy",)}, aggregate="count")
    at = (EPOCH + datetime.timedelta(seconds=10),)
    history = History(commit_seq=1, end_us=15 * SECOND)
    assert labels_of(reader, label, ObservationsSpec(at=at), history) == [(1, 10 * SECOND, 1.0)]


def test_an_observation_whose_time_has_not_passed_has_no_label_yet() -> None:
    reader = open_reader([Event(1, "buy", 10 * SECOND)])
    at = (EPOCH + datetime.timedelta(seconds=10),)
    history = History(commit_seq=1, end_us=15 * SECOND - 1)
    assert labels_of(reader, LabelSpec(within=5), ObservationsSpec(at=at), history) == []


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("plan", [(1, 3, "free"), (2, 3, 'a"b')]),
        ("age", [(1, 3, 30.0)]),
        ("score", [(1, 3, 1.5)]),
        ("active", [(1, 3, True), (2, 3, False)]),
    ],
)
def test_an_uploaded_outcome_is_observed_its_time_before(
    column: str, expected: list[tuple[int, int, object]]
) -> None:
    rows = [
        (1, 10 * SECOND, {"plan": "old"}),
        (1, 10 * SECOND, {"plan": "free", "age": 30, "score": 1.5, "active": True}),
        # Of another type than declared, as after a change of the declaration: no outcome.
        (2, 10 * SECOND, {"plan": 'a"b', "age": "x", "score": None, "active": False}),
        (3, 20 * SECOND, {"plan": "later", "age": 1, "score": 2, "active": True}),
    ]
    label = LabelSpec(within=7, source="uploads.profiles", column=column)
    found = labels_of(
        open_reader((), rows), label, ObservationsSpec(), History(1, end_us=19 * SECOND)
    )
    assert found == [(key, t * SECOND, value) for key, t, value in expected]


async def test_more_observations_than_wanted_are_drawn_alike_for_the_same_seed() -> None:
    reader = open_reader([Event(user, "view", user) for user in range(1, 41)])
    observations = ObservationsSpec(every=1, last=50, active=50, most_rows=300)
    history = History(1, end_us=50 * SECOND)

    drawn = [await fetch_observations(reader, observations, history, seed=s) for s in (1, 1, 2)]

    assert [table.num_rows for table in drawn] == [300, 300, 300]
    assert drawn[0].equals(drawn[1])
    assert not drawn[0].equals(drawn[2])


async def test_history_ends_with_its_latest_event_or_now() -> None:
    reader = open_reader([Event(1, "view", 5), Event(1, "view", 9, commit_seq=2)])
    assert await find_history(reader, 1, 100) == History(1, 5)
    assert await find_history(reader, 2, 7) == History(2, 7)
    assert await find_history(reader, 0, 100) is None
