"""Laws of validation, over anything a producer may send."""

import json
import math
import time

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import KafkaConfig
from engine.intake.validation import DecodedBatch, Rules, decode_batch
from engine.store.migrate import apply_migrations, load_migrations

NOW_US = time.time_ns() // 1_000
RULES = Rules.from_config(KafkaConfig())

# Lone surrogates included: `json.dumps` escapes them, and that is valid JSON.
any_text = st.text(st.characters(codec=None, exclude_categories=[]), max_size=20)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats()
    | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
near_events = st.fixed_dictionaries(
    {},
    optional={
        "user_id": st.integers(min_value=-(2**63), max_value=2**63 - 1) | any_json,
        "action": st.text(min_size=1, max_size=64) | any_json,
        "timestamp": st.floats(min_value=0, max_value=NOW_US / 1e6)
        | st.integers(min_value=0, max_value=NOW_US // 1_000)
        | st.datetimes().map(str)
        | any_json,
        "value": st.none() | st.floats(-1e12, 1e12) | any_json,
        "page": any_json,
        "": any_json,
    },
)
likely_events = st.fixed_dictionaries(
    {
        "user_id": st.integers(min_value=-(2**63), max_value=2**63 - 1),
        "action": st.text(min_size=1, max_size=64),
        "timestamp": st.integers(min_value=0, max_value=NOW_US // 1_000_000),
    },
    optional={"value": st.none() | st.floats(-1e12, 1e12) | st.integers(), "page": any_json},
).flatmap(
    lambda event: st.dictionaries(any_text, any_json, max_size=3).map(lambda more: more | event)
)
payloads = (
    st.none()
    | st.binary(max_size=100)
    | (any_json | near_events | likely_events).map(lambda value: json.dumps(value).encode())
)


def decode(messages: list[bytes | None]) -> DecodedBatch:
    return decode_batch("t", 0, range(len(messages)), messages, rules=RULES, now_us=NOW_US)


@given(st.lists(payloads, max_size=8))
def test_each_message_ends_up_in_exactly_one_place(messages: list[bytes | None]) -> None:
    batch = decode(messages)
    kept = batch.events.column("offset").to_pylist()
    set_aside = [found.offset for found in batch.rejected]
    assert sorted(kept + set_aside) == list(range(len(messages)))
    assert kept == sorted(kept)
    assert [found.payload for found in batch.rejected] == [messages[i] for i in set_aside]
    assert all(found.detail.isascii() or "±" in found.detail for found in batch.rejected)


@given(st.lists(payloads, min_size=2, max_size=8))
def test_no_message_changes_the_fate_of_another(messages: list[bytes | None]) -> None:
    together = decode(messages)
    alone = [decode([message]) for message in messages]
    assert [found.reason for found in together.rejected] == [
        found.reason for batch in alone for found in batch.rejected
    ]
    rows = pa.Table.from_batches([together.events]).drop_columns(["offset"])
    rows_alone = pa.Table.from_batches([batch.events for batch in alone]).drop_columns(["offset"])
    assert rows.equals(rows_alone)


@pytest.fixture(scope="module")
def events_table() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    apply_migrations(connection, load_migrations())
    return connection


@settings(deadline=None)
@given(st.lists(likely_events | near_events, min_size=1, max_size=8))
def test_what_is_accepted_can_be_stored_and_comes_back_unchanged(
    events_table: duckdb.DuckDBPyConnection, events: list[dict[str, object]]
) -> None:
    batch = decode([json.dumps(event).encode() for event in events])
    table = pa.Table.from_batches([batch.events])
    events_table.execute("DELETE FROM events")
    events_table.register("staged", table)
    events_table.execute("INSERT INTO events SELECT *, 1 FROM staged")
    events_table.unregister("staged")
    stored = events_table.sql(
        'SELECT * EXCLUDE (commit_seq) FROM events ORDER BY "offset"'
    ).to_arrow_table()
    assert stored.cast(table.schema).equals(table)
    for row in stored.to_pylist():
        sent = events[row["offset"]]
        assert row["user_id"] == sent["user_id"]
        assert row["action"] == sent["action"]
        assert row["value"] == sent.get("value")
        further = {
            name: value
            for name, value in sent.items()
            if name not in {"user_id", "action", "timestamp", "value"}
        }
        assert (row["properties"] is not None) == bool(further)
        if further:
            assert same(json.loads(row["properties"]), further)
            assert canonical(row["properties"]) == row["properties"]


def same(found: object, sent: object) -> bool:
    """Equal, except that JSON has one kind of number."""
    if isinstance(found, dict) and isinstance(sent, dict):
        return found.keys() == sent.keys() and all(same(found[k], sent[k]) for k in sent)
    if isinstance(found, list) and isinstance(sent, list):
        return len(found) == len(sent) and all(map(same, found, sent))
    if isinstance(found, float) and isinstance(sent, float):
        return found == sent and math.copysign(1, found) == math.copysign(1, sent)
    return found == sent and isinstance(found, bool) == isinstance(sent, bool)


def canonical(text: str) -> str:
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode()
