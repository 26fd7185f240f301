"""What may move: features over what is left are the same to the last bit, and no more stays."""

import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import duckdb
import pyarrow as pa
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.features.definitions import EventFeature, Feature
from engine.features.history import fetch_cells
from engine.features.resting import describe_rules, is_covered, write_movable_events
from engine.features.training import fetch_training_set
from engine.features.views import FeatureSet
from engine.records import Append, WriteRequest
from engine.store.catalog import read_catalog
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.reader import Reader
from engine.store.transaction import write_group
from tests.unit.features import naive
from tests.unit.features.test_law import EXAMPLES
from tests.unit.features.world import event_batch, label_table

ACTIONS = ("view", "buy", "it's")
TIMES = st.integers(0, 9)
"""Few, so that many events are of one time."""
VALUES = st.sampled_from((None, None, 0.0, -0.0, 0.1, 0.1, -7.25, 1e-7, 1e300, math.nan, math.inf))
EVENTS = st.builds(
    naive.Event,
    st.integers(0, 2),
    st.sampled_from(ACTIONS),
    TIMES,
    VALUES,
    st.integers(0, 1),
    st.integers(0, 3),
)
COMMITS = st.lists(st.lists(EVENTS, max_size=8), min_size=1, max_size=5)
AGGREGATES = st.sampled_from(
    (
        ("count", None),
        ("seconds_since", None),
        ("sum", "value"),
        ("mean", "value"),
        ("min", "value"),
        ("max", "value"),
        ("first", "value"),
        ("last", "value"),
        ("distinct_count", "value"),
        ("first", "action"),
        ("last", "action"),
        ("distinct_count", "action"),
    )
)
FEATURES = st.lists(
    st.tuples(AGGREGATES, st.none() | st.sets(st.sampled_from(ACTIONS), min_size=1)),
    min_size=1,
    max_size=4,
).map(lambda drawn: tuple(make_feature(n, *one) for n, one in enumerate(drawn)))


def make_feature(
    number: int,
    kind: tuple[str, str | None],
    actions: set[str] | None,
    window_us: int | None = None,
) -> EventFeature:
    aggregate, column = kind
    of_action = column == "action" and aggregate != "distinct_count"
    return EventFeature(
        name=f"f{number}",
        entity="user",
        aggregate=aggregate,
        actions=None if actions is None else frozenset(actions),
        column=column,
        window_us=window_us,
        tile_us=window_us,
        ttl_us=None,
        type="string" if of_action else "double",
    )


class DataFile:
    """Events in memory, and reads of features from them."""

    def __init__(self, commits: Sequence[Sequence[naive.Event]]) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("SET threads = 1")
        apply_migrations(self.connection, load_migrations())
        catalog = read_catalog(self.connection)
        for number, events in enumerate(commits):
            # An offset is an event's own in its commit, whatever was drawn.
            distinct = {(e.partition, e.offset): e for e in events}.values()
            if distinct:
                append = Append("events", event_batch([*distinct]))
                write_group(self.connection, catalog, (WriteRequest((append,)),), number + 1)
        self.last_commit = len(commits)
        self.reader = Reader(self.connection, threads=1)

    def close(self) -> None:
        self.reader.close()
        self.connection.close()

    def rows(self, sql: str = "FROM events", **parameters: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters or None).fetchall()

    def move(
        self, features: Sequence[EventFeature], until: int, last_commit: int, most: int = 1000
    ) -> int:
        """Delete, by their keys, the first so many events that may be moved; return how many."""
        sql = write_movable_events(features)
        before = len(self.rows())
        [(deleted,)] = self.rows(
            'DELETE FROM events WHERE (event_time, commit_seq, topic, partition, "offset") IN '
            '(SELECT (event_time, commit_seq, topic, partition, "offset") '
            f"FROM ({sql}) ORDER BY ALL LIMIT {most})",
            until_us=until,
            last_commit_seq=last_commit,
        )
        assert len(self.rows()) == before - deleted
        return int(deleted)

    def read(self, features: Sequence[Feature], since: int, since_commit: int) -> list[Any]:
        """Answers to what may be asked, by both ways there are, bit for bit."""
        feature_set = FeatureSet({feature.name: feature for feature in features})
        selection = feature_set.select(tuple(feature_set.features))
        labels = label_table([(user, t) for user in range(4) for t in range(since, since + 10)])

        async def read() -> list[Any]:
            answers: list[Any] = []
            for commit in {since_commit, self.last_commit}:
                for t in {since, max(since, 9)}:
                    cells = await fetch_cells(self.reader, selection, range(4), t, commit)
                    answers.append({key: [*map(_bits, row)] for key, row in cells.items()})
                table: pa.Table = await fetch_training_set(
                    self.reader, selection, labels, commit, with_status=True, timeout_s=None
                )
                answers.append([_bits(row.values()) for row in table.to_pylist()])
            return answers

        return trio.run(read)


@contextmanager
def open_file(commits: Sequence[Sequence[naive.Event]]) -> Iterator[DataFile]:
    file = DataFile(commits)
    try:
        yield file
    finally:
        file.close()


def _bits(values: Any) -> list[Any]:
    return [struct.pack("<d", v) if isinstance(v, float) else v for v in values]


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    commits=COMMITS,
    features=FEATURES,
    bounds=st.lists(st.tuples(TIMES, st.integers(0, 5)), min_size=1, max_size=2),
    portion=st.integers(1, 4),
)
def test_features_without_a_window_are_the_same_over_what_is_left(
    commits: list[list[naive.Event]],
    features: tuple[EventFeature, ...],
    bounds: list[tuple[int, int]],
    portion: int,
) -> None:
    with open_file(commits) as file:
        until = last = 0
        for time, commit in bounds:
            until, last = max(until, time), max(last, min(commit, len(commits)))
            before = file.read(features, until, last)
            # In the middle of a backlog, and at its end.
            file.move(features, until, last, portion)
            assert file.read(features, until, last) == before
            file.move(features, until, last)
            assert file.read(features, until, last) == before


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(commits=COMMITS, until=TIMES, commit=st.integers(0, 5), window=st.integers(1, 4))
def test_windows_that_lie_after_the_bound_are_the_same_over_what_is_left(
    commits: list[list[naive.Event]], until: int, commit: int, window: int
) -> None:
    feature = make_feature(0, ("sum", "value"), None, window)
    last = min(commit, len(commits))
    # The tile that holds the window's start begins at or after the bound.
    since = until + 2 * window
    with open_file(commits) as file:
        before = file.read([feature], since, last)
        file.move([feature], until, last)
        assert file.read([feature], since, last) == before


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    commits=COMMITS,
    kind=AGGREGATES,
    actions=st.none() | st.sets(st.sampled_from(ACTIONS), min_size=1),
)
def test_nothing_stays_that_is_not_needed(
    commits: list[list[naive.Event]], kind: tuple[str, str | None], actions: set[str] | None
) -> None:
    feature = make_feature(0, kind, actions)
    with open_file(commits) as file:
        found = file.rows(
            'SELECT user_id, event_time, commit_seq, partition, "offset", action, '
            "CASE WHEN isfinite(value) THEN value + 0.0 END FROM events ORDER BY ALL"
        )
        file.move([feature], 100, len(commits))
        left = file.rows(
            'SELECT user_id, event_time, commit_seq, partition, "offset", action, '
            "CASE WHEN isfinite(value) THEN value + 0.0 END FROM events ORDER BY ALL"
        )
    for user in range(3):
        events = [row for row in found if row[0] == user]
        counts = [
            row
            for row in events
            if (actions is None or row[5] in actions) and (kind[1] != "value" or row[6] is not None)
        ]
        stayed = [row for row in left if row[0] == user]
        needed = {*events[:1], *counts[-1:]}
        match kind[0]:
            case "count" | "sum" | "mean":
                assert stayed == sorted({*events[:1], *counts}, key=events.index)
            case "last" | "seconds_since":
                assert {*stayed} == needed
            case "first":
                assert {*stayed} == {*needed, *counts[:1]}
            case "min" | "max":
                assert needed <= {*stayed}
                assert len(stayed) <= len(needed) + 1
            case "distinct_count":
                items = {row[5 if kind[1] == "action" else 6] for row in counts}
                assert needed <= {*stayed}
                assert len(stayed) <= len(needed) + len(items)


def test_events_that_share_a_key_with_one_that_stays_stay() -> None:
    feature = make_feature(0, ("count", None), {"buy"})
    shared = [naive.Event(1, action, 5, None, 0, 7) for action in ("buy", "view")]
    with open_file([[naive.Event(1, "view", 1, None, 0, 1)]]) as file:
        write_group(
            file.connection,
            read_catalog(file.connection),
            (WriteRequest((Append("events", event_batch(shared)),)),),
            2,
        )
        assert file.move([feature], 9, 2) == 0


def test_what_has_come_since_the_bound_does_not_move() -> None:
    events = [naive.Event(1, "view", t, None, 0, t) for t in range(6)]
    late = [naive.Event(1, "view", 2, None, 0, 90)]
    with open_file([events, late]) as file:
        assert file.move([], until=4, last_commit=1) == 3
        times = file.rows("SELECT epoch_us(event_time), commit_seq FROM events ORDER BY ALL")
    assert times == [(0, 1), (2, 2), (4, 1), (5, 1)]


@pytest.mark.parametrize(
    ("kept", "feature", "covered"),
    [
        ([("count", None, None)], ("last", "value", {"buy"}), True),
        ([("count", None, {"buy"})], ("count", None, None), False),
        ([("count", None, {"buy", "view"})], ("distinct_count", "action", {"buy"}), True),
        ([("sum", "value", None)], ("count", None, {"buy"}), False),
        ([("sum", "value", None)], ("mean", "value", {"buy"}), True),
        ([("last", "action", None)], ("seconds_since", None, None), True),
        ([("last", "value", None)], ("seconds_since", None, None), False),
        ([("distinct_count", "action", {"buy"})], ("seconds_since", None, {"buy"}), True),
        ([("last", "value", {"buy"})], ("min", "value", {"buy"}), False),
        ([], ("count", None, None), False),
    ],
)
def test_a_feature_is_covered_by_rules_under_which_all_has_stayed_that_it_needs(
    kept: list[tuple[str, str | None, set[str] | None]],
    feature: tuple[str, str | None, set[str] | None],
    covered: bool,
) -> None:
    rules = describe_rules(make_feature(n, (a, c), w) for n, (a, c, w) in enumerate(kept))
    aggregate, column, actions = feature
    asked = make_feature(9, (aggregate, column), actions)
    assert is_covered(asked, rules) is covered
    assert is_covered(attrs.evolve(asked, window_us=1, tile_us=1), [])


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(commits=COMMITS, features=FEATURES, other=FEATURES)
def test_what_rules_cover_is_the_same_after_events_moved_by_them(
    commits: list[list[naive.Event]],
    features: tuple[EventFeature, ...],
    other: tuple[EventFeature, ...],
) -> None:
    covered = [one for one in other if is_covered(one, describe_rules(features))]
    if not covered:
        return
    with open_file(commits) as file:
        before = file.read(covered, 9, len(commits))
        file.move(features, 9, len(commits))
        assert file.read(covered, 9, len(commits)) == before


def test_rules_that_follow_from_others_are_not_named_and_the_order_does_not_matter() -> None:
    features = [
        make_feature(0, ("count", None), {"view", "buy"}),
        make_feature(1, ("sum", "value"), {"buy"}),
        make_feature(2, ("last", "action"), None),
        make_feature(3, ("seconds_since", None), None),
        make_feature(4, ("count", None), None, 10),
    ]
    expected = [
        {"need": "all", "actions": ["buy", "view"], "column": ""},
        {"need": "newest", "actions": [], "column": ""},
    ]
    assert describe_rules(features) == expected
    assert describe_rules(reversed(features)) == expected
