"""No definition and no order of arrival has a training see what a prediction could not have seen.

One thing more is made to happen, an event or an uploaded row, at any time: before an observation,
at its very moment, within the label's time or after it; early or late to be committed. What may
change by it is the law; that nothing else does is compared over whole training sets.
"""

import functools
import json
from collections.abc import Sequence

import attrs
import duckdb
import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.config import (
    EntitySpec,
    EstimatorSpec,
    FeaturesFile,
    FeatureSpec,
    LabelSpec,
    ObservationsSpec,
    OnlineConfig,
    SplitSpec,
    UploadSpec,
)
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.learning.payloads import TrainingRequest
from engine.learning.training_rows import fetch_training_rows
from engine.models.labels import History
from engine.models.policy import Cause
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.reader import Reader

SECOND = 1_000_000
WITHIN_S = 5
END_S = 40
COMMIT_SEQ = 2
UPLOADS = {"profiles": UploadSpec("user", "user_id", "at", {"plan": "string", "age": "int64"})}


def from_events(name: str, aggregate: str, **more: object) -> FeatureSpec:
    return FeatureSpec(name, "events", aggregate=aggregate, **more)  # type: ignore[arg-type]


# All that may carry an outcome into a feature: the label's own action, its value, its column.
FEATURES = FeaturesFile(
    entities={"user": EntitySpec("user_id")},
    uploads=UPLOADS,
    features={
        feature.name: feature
        for feature in (
            from_events("buys", "count", where={"action": ("buy",)}),
            from_events("buys_10s", "count", where={"action": ("buy",)}, window_s=10),
            from_events("spent", "sum", column="value"),
            from_events("first_action", "first", column="action"),
            from_events("last_action", "last", column="action"),
            from_events("rest", "seconds_since", where={"action": ("buy",)}),
            FeatureSpec("plan", "uploads.profiles", column="plan", type="string"),
            FeatureSpec("age", "uploads.profiles", column="age", type="int64", ttl_s=8),
            FeatureSpec("share", expression="buys_10s / (buys + 1)"),
        )
    },
)
BOUGHT = LabelSpec(within=WITHIN_S, where={"action": ("buy",)}, aggregate="sum")
PLAN = LabelSpec(within=WITHIN_S, source="uploads.profiles", column="plan")


@attrs.frozen
class Happening:
    """An event, or with a `plan` an uploaded row."""

    user: int
    at_us: int
    commit_seq: int
    action: str = "buy"
    plan: str | None = None


@functools.cache
def open_file() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    apply_migrations(connection, load_migrations())
    return connection


Rows = dict[tuple[int, int], dict[str, object]]


def rows_of(happenings: Sequence[Happening], label: LabelSpec) -> Rows:
    """Return a training set as of `COMMIT_SEQ`: label and features by entity and time."""
    connection = open_file()
    connection.execute("DELETE FROM events; DELETE FROM feature_history")
    for place, one in enumerate(happenings):
        if one.plan is None:
            connection.execute(
                "INSERT INTO events VALUES (?, ?, make_timestamp(?), make_timestamp(0), ?, NULL, "
                "'t', 0, ?, ?)",
                (one.user, one.action, one.at_us, 2.0**place, place, one.commit_seq),
            )
        else:
            fields = json.dumps({"plan": one.plan, "age": place})
            connection.execute(
                "INSERT INTO feature_history VALUES (?, 'profiles', ?, make_timestamp(?), ?, ?)",
                (one.user, fields, one.at_us, place, one.commit_seq),
            )
    reader = Reader(connection, threads=1)
    feature_set = compile_feature_set(FEATURES)
    online = OnlineStore(feature_set, OnlineConfig())

    async def fetch() -> Rows:
        await online.rebuild(reader, COMMIT_SEQ)
        table = await fetch_training_rows(
            REQUEST if label is BOUGHT else attrs.evolve(REQUEST, label=label),
            FeatureStore(feature_set, online, reader),
            reader,
            UPLOADS,
        )
        times_us = table["event_time"].cast("int64").to_pylist()
        found = table.drop_columns(["entity_key", "event_time"]).to_pylist()
        keys = zip(table["entity_key"].to_pylist(), times_us, strict=True)
        return dict(zip(keys, found, strict=True))

    return trio.run(fetch)


REQUEST = TrainingRequest(
    model="buyer",
    entity="user",
    features=tuple(FEATURES.features),
    label=BOUGHT,
    estimator=EstimatorSpec("Ridge"),
    observations=ObservationsSpec(every=4, last=100, active=100),
    split=SplitSpec(),
    metric="rmse",
    cause=Cause.CALL,
    drift_report_id=None,
    history=History(COMMIT_SEQ, END_S * SECOND),
    champion_version=None,
    champion_features=(),
)

# On the observations' grid, at both ends of a label, and a microsecond beside them.
times = st.builds(
    lambda second, beside: max(0, second * SECOND + beside),
    st.integers(0, END_S),
    st.sampled_from([0, 0, -1, 1, SECOND // 2]),
)
happenings = st.builds(
    Happening,
    user=st.integers(1, 2),
    at_us=times,
    commit_seq=st.integers(1, 3),
    action=st.sampled_from(["buy", "view"]),
    plan=st.none() | st.sampled_from(["free", "gold"]),
)
PAST = [Happening(1, SECOND, 1, "view"), Happening(1, 9 * SECOND, 1, plan="free")]


@pytest.mark.parametrize("label", [BOUGHT, PLAN], ids=["events", "uploads"])
@settings(max_examples=15, deadline=None)
@given(before=st.lists(happenings, max_size=8), more=happenings)
@example(before=PAST, more=Happening(1, 12 * SECOND, 1))  # at the very moment of an observation
@example(before=PAST, more=Happening(1, 12 * SECOND + 1, 1))
@example(before=PAST, more=Happening(1, 17 * SECOND, 1))  # at the very end of a label
@example(before=PAST, more=Happening(1, 2 * SECOND, 2))  # late, but before the training's commit
@example(before=PAST, more=Happening(1, 2 * SECOND, 3))  # too late for it
@example(before=PAST, more=Happening(1, 12 * SECOND, 1, plan="gold"))
def test_what_happens_changes_the_features_from_then_on_and_labels_just_before(
    label: LabelSpec, before: list[Happening], more: Happening
) -> None:
    without, with_it = rows_of(before, label), rows_of([*before, more], label)
    if more.commit_seq > COMMIT_SEQ:
        assert with_it == without
        return
    for key in without.keys() | with_it.keys():
        user, t_us = key
        old, new = without.get(key), with_it.get(key)
        is_outcome = user == more.user and t_us < more.at_us <= t_us + WITHIN_S * SECOND
        if old is None or new is None:
            # Who is observed depends on what was; of an uploaded outcome the row is its own.
            assert user == more.user
            assert more.at_us <= t_us or (label is PLAN and is_outcome)
            continue
        if not (user == more.user and more.at_us <= t_us):
            assert {**new, "label": None} == {**old, "label": None}, "a feature saw the future"
        if not is_outcome:
            assert new["label"] == old["label"], "a label saw more than its own time"


def test_the_label_of_an_uploaded_column_is_not_among_its_own_features() -> None:
    rows = rows_of([Happening(1, at * SECOND, 1, plan=f"p{at}") for at in (3, 10, 15)], PLAN)
    assert {key: (row["label"], row["plan"]) for key, row in rows.items()} == {
        (1, 5 * SECOND): ("p10", "p3"),
        # What is uploaded at the moment of the observation is known then, as it is to a prediction.
        (1, 10 * SECOND): ("p15", "p10"),
    }
