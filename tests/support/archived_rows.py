"""Rows in a data file, and archives made of them the way retention makes them, step by step."""

import hashlib
import io
import itertools
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.backends.blobs import BlobStore
from engine.clock import to_datetime
from engine.history import EVENTS, PREDICTIONS, HistoryQuery, HistoryReads, HistoryTable
from engine.records import EVENTS_SCHEMA, Append, Delete, Upsert, WriteRequest
from engine.store import Store

DAY_US = 86_400_000_000
START_US = 1_700_000_000_000_000
_COLUMNS = (
    "archive_id",
    "table_name",
    "state",
    "planned_at",
    "stored_at",
    "first_time",
    "last_time",
    "until_time",
    "last_commit_seq",
    "row_count",
    "blob",
    "size_bytes",
    "sha256",
    "kept",
)
_ids = itertools.count(1)


def make_events(
    times_us: Sequence[int],
    *,
    users: Sequence[int] | None = None,
    first_offset: int = 0,
    properties: str | None = '{"page": 1}',
) -> pa.RecordBatch:
    """Return events of these times, as they are appended, with ascending offsets."""
    count = len(times_us)
    columns: dict[str, Any] = {
        "user_id": users if users is not None else [n % 10 for n in range(count)],
        "action": [("click", "view", "purchase")[n % 3] for n in range(count)],
        "event_time": times_us,
        "ingest_time": [time_us + 1_000 for time_us in times_us],
        "value": [None if n % 4 else n / 8 for n in range(count)],
        "properties": [properties if n % 5 else None for n in range(count)],
        "topic": ["t"] * count,
        "partition": [n % 2 for n in range(count)],
        "offset": range(first_offset, first_offset + count),
    }
    return pa.record_batch(
        [pa.array(columns[f.name], _storable(f.type)).cast(f.type) for f in EVENTS_SCHEMA],
        schema=EVENTS_SCHEMA,
    )


def make_stored_events(keys: Sequence[tuple[int, int, int]]) -> pa.RecordBatch:
    """Return events as the data file has them, each of a time in µs, a commit and an offset."""
    times, commits, offsets = zip(*keys, strict=True)
    rows = make_events(times).to_pydict()
    rows |= {"commit_seq": commits, "offset": offsets, "partition": [0] * len(times)}
    return pa.record_batch(
        [pa.array(rows[field.name], field.type) for field in EVENTS.schema], schema=EVENTS.schema
    )


def make_predictions(times_us: Sequence[int], *, entity_key: int = 7) -> pa.RecordBatch:
    """Return predictions of these times, as they are appended."""
    schema = pa.schema([field for field in PREDICTIONS.schema if field.name != "commit_seq"])
    count = len(times_us)
    columns: dict[str, Any] = {
        "prediction_id": [f"P{n:025d}" for n in range(count)],
        "predicted_at": times_us,
        "model": ["churn"] * count,
        "version": [3] * count,
        "entity_key": [entity_key] * count,
        "as_of": times_us,
        "feature_commit_seq": [1] * count,
        "inputs": ['[1,"a",null]'] * count,
        "statuses": ["PSM"] * count,
        "prediction": ["true"] * count,
        "score": [0.75] * count,
        "probabilities": [None if n % 2 else '{"false":0.25,"true":0.75}' for n in range(count)],
        "shadow": [n % 3 == 0 for n in range(count)],
        "request_id": [None if n % 2 else f"r{n}" for n in range(count)],
    }
    return pa.record_batch(
        [pa.array(columns[f.name], _storable(f.type)).cast(f.type) for f in schema], schema=schema
    )


def spread(count: int, *, days: float = 10.0, seed: int = 1) -> list[int]:
    """Return times over some days from START_US on, in no order."""
    draw = random.Random(seed)
    return [START_US + draw.randrange(int(days * DAY_US)) for _ in range(count)]


async def append(store: Store, table: HistoryTable, rows: pa.RecordBatch) -> int:
    """Write rows; return their commit."""
    return (await store.writer.submit(WriteRequest((Append(table.name, rows),)))).commit_seq


async def read_table(store: Store, table: HistoryTable) -> list[dict[str, Any]]:
    """Return all rows of the data file's table, in the order of its key."""
    names = ", ".join(f'"{name}"' for name in table.schema.names)
    order = ", ".join(f'"{name}"' for name in table.key)
    found = await store.reader.fetch_arrow(f"SELECT {names} FROM {table.name} ORDER BY {order}")
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


async def move(
    store: Store,
    blobs: BlobStore,
    table: HistoryTable,
    until_us: int,
    *,
    from_us: int = 0,
    row_group_rows: int = 1_000,
    planned_us: int | None = None,
    delete: bool = True,
) -> str | None:
    """Move what is older than a time to one archive; return its blob, None if there is nothing."""
    names = ", ".join(f'"{name}"' for name in table.schema.names)
    order = ", ".join(f'"{name}"' for name in table.key)
    found = await store.reader.fetch_arrow(
        f"SELECT {names} FROM {table.name} WHERE {table.time} >= ? AND {table.time} < ? "
        f"ORDER BY {order}",
        [to_datetime(from_us), to_datetime(until_us)],
    )
    if not found.num_rows:
        return None
    sink = io.BytesIO()
    pq.write_table(found, sink, compression="zstd", row_group_size=row_group_rows)
    content = sink.getvalue()
    number = next(_ids)
    blob = f"archive/{table.name}/2023-11-14-{number:06d}"
    planned_at = to_datetime(START_US if planned_us is None else planned_us)
    times = found.column(table.time)
    planned = (f"{number:06d}", table.name, "planned", planned_at, None, None, None)
    planned += (to_datetime(until_us), store.writer.commit_seq, None, blob, None, None, "[]")
    await store.writer.submit(WriteRequest((Upsert("archives", _COLUMNS, [planned]),)))
    await blobs.put(blob, content)
    stored: tuple[Any, ...] = (f"{number:06d}", table.name, "stored", planned_at)
    stored += (planned_at + timedelta(seconds=1), times[0].as_py(), times[-1].as_py())
    stored += (to_datetime(until_us), store.writer.commit_seq, found.num_rows, blob, len(content))
    stored += (hashlib.sha256(content).hexdigest(), "[]")
    keys = {"prediction_id", "topic", "partition", "offset", "commit_seq"}
    present = [name for name in found.schema.names if name in keys]
    [batch] = found.select(present).combine_chunks().to_batches()
    removal = (Delete(table.name, batch, found.num_rows),) if delete else ()
    await store.writer.submit(WriteRequest((Upsert("archives", _COLUMNS, [stored]), *removal)))
    return blob


async def read_all(reads: HistoryReads, query: HistoryQuery) -> list[dict[str, Any]]:
    """Return what a read gives, as dicts."""
    rows: list[dict[str, Any]] = []
    async with reads.open(query) as read:
        while (batch := await read.next_rows()) is not None:
            assert batch.num_rows
            rows += batch.to_pylist()
    return rows


def key_of(table: HistoryTable, row: dict[str, Any]) -> tuple[Any, ...]:
    """Return by what a row is ordered."""
    return tuple(row[name] for name in table.key)


def _storable(type_: pa.DataType) -> pa.DataType:
    return pa.int64() if pa.types.is_timestamp(type_) else type_


__all__ = [
    "DAY_US",
    "EVENTS",
    "PREDICTIONS",
    "START_US",
    "append",
    "key_of",
    "make_events",
    "make_predictions",
    "make_stored_events",
    "move",
    "read_all",
    "read_table",
    "spread",
]
