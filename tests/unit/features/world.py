"""A data file in memory, a clock, an online store that follows it, and the naive answers."""

import struct
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from engine.config import EntitySpec, FeaturesFile, FeatureSpec, OnlineConfig, UploadSpec
from engine.features import FeatureRow, FeatureStore, OnlineStore, compile_feature_set
from engine.records import EVENTS_SCHEMA, FEATURE_HISTORY_SCHEMA, Append, Commit, WriteRequest
from engine.store.catalog import read_catalog
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.reader import Reader
from engine.store.transaction import write_group
from tests.unit.features import naive

SECOND = 1_000_000

PROFILES = {"plan": "string", "age": "int64", "score": "double"}
DEVICES = {"active": "bool"}

DEFINITIONS: dict[str, naive.Definition] = {
    "views_10s": naive.Aggregate("count", ("view",), None, 10 * SECOND, 2 * SECOND),
    "any_10s": naive.Aggregate("count", None, None, 10 * SECOND, 2 * SECOND),
    "any_60s": naive.Aggregate("count", None, None, 60 * SECOND, 7 * SECOND, 20 * SECOND),
    "views_total": naive.Aggregate("count", ("view",)),
    "sum_10s": naive.Aggregate("sum", ("buy", "cart"), "value", 10 * SECOND, 2 * SECOND),
    "sum_total": naive.Aggregate("sum", None, "value", ttl=15 * SECOND),
    "mean_60s": naive.Aggregate("mean", ("buy",), "value", 60 * SECOND, 7 * SECOND),
    "mean_total": naive.Aggregate("mean", None, "value"),
    "min_10s": naive.Aggregate("min", None, "value", 10 * SECOND, SECOND),
    "max_60s": naive.Aggregate("max", ("buy",), "value", 60 * SECOND, 7 * SECOND),
    "min_total": naive.Aggregate("min", None, "value"),
    "max_total": naive.Aggregate("max", None, "value"),
    "last_action": naive.Aggregate("last", None, "action", ttl=5 * SECOND),
    "last_value_10s": naive.Aggregate("last", ("buy",), "value", 10 * SECOND, 2 * SECOND),
    "first_value": naive.Aggregate("first", None, "value"),
    "first_action_10s": naive.Aggregate("first", None, "action", 10 * SECOND, 2 * SECOND),
    "actions_10s": naive.Aggregate("distinct_count", None, "action", 10 * SECOND, 5 * SECOND),
    "values_total": naive.Aggregate("distinct_count", ("buy", "view"), "value"),
    "since_view": naive.Aggregate("seconds_since", ("view",), ttl=8 * SECOND),
    "since_any_10s": naive.Aggregate("seconds_since", None, None, 10 * SECOND, 2 * SECOND),
    "plan": naive.Latest("profiles", "plan", "string", 30 * SECOND),
    "age": naive.Latest("profiles", "age", "int64"),
    "score": naive.Latest("profiles", "score", "double"),
    "active": naive.Latest("devices", "active", "bool"),
    "rate": naive.Formula(
        ("views_10s", "any_10s"), lambda v, a: None if v is None or a is None else v / a
    ),
    "spread": naive.Formula(
        ("max_total", "min_total", "sum_10s"),
        lambda high, low, total: (
            None
            if low is None or total is None
            else 0.0
            if high * 1e308 * 10 in (float("inf"), float("-inf"))
            else max(abs(high - low), -total)
        ),
    ),
    "engaged": naive.Formula(
        ("rate", "since_view", "last_action"),
        lambda rate, since, last: (
            None
            if rate is None or since is None or last is None
            else rate >= 0.5 and not (since > 4.0 or last == "cart")
        ),
    ),
    "label": naive.Formula(
        ("active", "plan"),
        lambda active, plan: (
            None if active is None else (plan if plan is not None else "none") if active else "off"
        ),
    ),
}

EXPRESSIONS = {
    "rate": "views_10s / any_10s",
    "spread": "coalesce(max(abs(max_total - min_total), -sum_10s) + 0 * (max_total * 1e308 * 10), "
    "0 if max_total == max_total and sum_10s == sum_10s else 0)",
    "engaged": "rate >= 0.5 and not (since_view > 4 or last_action == 'cart')",
    "label": "coalesce(plan, 'none') if active else 'off'",
}


def _seconds(time_us: int | None) -> int | None:
    return None if time_us is None else time_us // SECOND


def specify(name: str, definition: naive.Definition) -> FeatureSpec:
    match definition:
        case naive.Aggregate():
            actions = definition.actions
            where: dict[str, str | tuple[str, ...]] = {}
            if actions is not None:
                where = {"action": actions[0] if len(actions) == 1 else actions}
            return FeatureSpec(
                name,
                source="events",
                where=where,
                aggregate=definition.kind,
                column=definition.column,
                window_s=_seconds(definition.window),
                tile_s=_seconds(definition.tile),
                ttl_s=_seconds(definition.ttl),
            )
        case naive.Latest():
            return FeatureSpec(
                name,
                source=f"uploads.{definition.dataset}",
                column=definition.column,
                type=definition.type,
                ttl_s=_seconds(definition.ttl),
            )
        case naive.Formula():
            return FeatureSpec(name, expression=EXPRESSIONS[name])


FEATURES_FILE = FeaturesFile(
    entities={"user": EntitySpec(key="user_id")},
    uploads={
        "profiles": UploadSpec("user", "user_id", "updated_at", PROFILES),
        "devices": UploadSpec("user", "user_id", "seen_at", DEVICES),
    },
    features={name: specify(name, definition) for name, definition in DEFINITIONS.items()},
)
FEATURE_SET = compile_feature_set(FEATURES_FILE)
NAMES = tuple(DEFINITIONS)


class World:
    """Commits go to the data file and to the online store, as the writer does it."""

    def __init__(self, *, now_us: int, max_bytes: int = 2**30, fold_events: int = 4) -> None:
        self.now_us = now_us
        self.events: list[naive.Event] = []
        self.uploads: list[naive.Upload] = []
        self.commit_seq = 0
        self._settings = OnlineConfig(max_bytes=max_bytes, fold_events=fold_events)
        self._connection = duckdb.connect()
        self._connection.execute("SET threads = 1")
        apply_migrations(self._connection, load_migrations())
        self._catalog = read_catalog(self._connection)
        self.reader = Reader(self._connection, threads=1)
        self._open()

    def close(self) -> None:
        self.reader.close()
        self._connection.close()

    def _open(self) -> None:
        self.online = OnlineStore(FEATURE_SET, self._settings, self.clock)
        self.store = FeatureStore(FEATURE_SET, self.online, self.reader, self.clock)

    def clock(self) -> int:
        return self.now_us

    async def restart(self) -> None:
        self._open()
        await self.online.rebuild(self.reader, self.commit_seq)

    def write(self, events: Sequence[naive.Event], uploads: Sequence[naive.Upload]) -> Commit:
        """Commit to the data file only; the caller applies it."""
        self.commit_seq += 1
        operations = []
        if events:
            operations.append(Append("events", event_batch(events)))
        if uploads:
            operations.append(Append("feature_history", upload_batch(uploads)))
        requests = (WriteRequest(tuple(operations)),)
        write_group(self._connection, self._catalog, requests, self.commit_seq)
        self.events += [_stamped(event, self.commit_seq) for event in events]
        self.uploads += [
            naive.Upload(u.entity_key, u.dataset, u.text, u.time, self.commit_seq, ordinal)
            for ordinal, u in enumerate(uploads)
        ]
        return Commit(self.commit_seq, requests)

    def commit(
        self, events: Sequence[naive.Event] = (), uploads: Sequence[naive.Upload] = ()
    ) -> None:
        self.online.apply(self.write(events, uploads))

    def expect(
        self, user: int, t: int, names: Sequence[str] = NAMES, commit_seq: int | None = None
    ) -> list[naive.Answer]:
        last = self.commit_seq if commit_seq is None else commit_seq
        events = [event for event in self.events if event.commit_seq <= last]
        uploads = [upload for upload in self.uploads if upload.commit_seq <= last]
        return [naive.answer(DEFINITIONS, name, events, uploads, user, t) for name in names]


def answers_of(row: FeatureRow) -> list[naive.Answer]:
    return [(v.value, v.status.value, v.event_time_us) for v in row.values]


def bits(answers: Sequence[naive.Answer]) -> list[Any]:
    """Answers in a form in which 0.0, -0.0, 0 and False all differ."""
    return [(_bits(value), status, time) for value, status, time in answers]


def _bits(value: Any) -> Any:
    return (type(value).__name__, struct.pack("<d", value) if type(value) is float else value)


def mismatches(
    found: Sequence[naive.Answer], expected: Sequence[naive.Answer], names: Sequence[str] = NAMES
) -> dict[str, tuple[naive.Answer, naive.Answer]]:
    """Features whose answers differ in any bit, as (found, expected)."""
    return {
        name: (f, e)
        for name, f, e in zip(names, found, expected, strict=True)
        if bits([f]) != bits([e])
    }


def event_batch(events: Sequence[naive.Event]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "user_id": [e.user_id for e in events],
            "action": [e.action for e in events],
            "event_time": [e.time for e in events],
            "ingest_time": [e.time for e in events],
            "value": [e.value for e in events],
            "properties": [None for _ in events],
            "topic": ["t" for _ in events],
            "partition": [e.partition for e in events],
            "offset": [e.offset for e in events],
        },
        schema=EVENTS_SCHEMA,
    )


def upload_batch(uploads: Sequence[naive.Upload]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "entity_key": [u.entity_key for u in uploads],
            "dataset": [u.dataset for u in uploads],
            "fields": [u.text for u in uploads],
            "event_time": [u.time for u in uploads],
        },
        schema=FEATURE_HISTORY_SCHEMA,
    )


def label_table(labels: Sequence[tuple[int, int]]) -> pa.Table:
    return pa.table(
        {
            "entity_key": pa.array([key for key, _ in labels], pa.int64()),
            "event_time": pa.array([t for _, t in labels], pa.timestamp("us")),
        }
    )


def training_answers(table: pa.Table, names: Sequence[str] = NAMES) -> list[list[tuple[Any, str]]]:
    """Rows of (value, status) from a training set made with statuses."""
    columns = [
        list(zip(table[name].to_pylist(), table[f"{name}__status"].to_pylist(), strict=True))
        for name in names
    ]
    return [list(row) for row in zip(*columns, strict=True)] if columns else []


def _stamped(event: naive.Event, commit_seq: int) -> naive.Event:
    return naive.Event(
        event.user_id,
        event.action,
        event.time,
        event.value,
        event.partition,
        event.offset,
        commit_seq,
    )
