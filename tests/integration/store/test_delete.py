"""Deleting rows by their keys, on a real data file."""

from datetime import datetime

import pyarrow as pa
import pytest

from engine.errors import SchemaMismatchError
from engine.records import EVENTS_SCHEMA, Append, Delete, Upsert, WriteRequest
from engine.store import Store, StoreSettings, open_store

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - the file keeps UTC without a zone


def events(n: int) -> Append:
    columns = {
        "user_id": range(n),
        "action": ["click"] * n,
        "event_time": [NOW] * n,
        "ingest_time": [NOW] * n,
        "value": [None] * n,
        "properties": [None] * n,
        "topic": ["t"] * n,
        "partition": [0] * n,
        "offset": range(n),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in EVENTS_SCHEMA]
    return Append("events", pa.record_batch(arrays, schema=EVENTS_SCHEMA))


def keys(*pairs: tuple[int, int]) -> pa.RecordBatch:
    """Offsets and commit sequences."""
    return pa.record_batch(
        {
            "offset": pa.array([offset for offset, _ in pairs], pa.int64()),
            "commit_seq": pa.array([commit for _, commit in pairs], pa.int64()),
        }
    )


def model(name: str) -> Upsert:
    return Upsert(
        "models", ("model", "description", "entity", "created_at"), [(name, "", "user", NOW)]
    )


async def offsets(store: Store) -> list[int]:
    rows = await store.reader.fetch_rows('SELECT "offset" FROM events ORDER BY ALL')
    return [offset for (offset,) in rows]


async def test_rows_of_the_keys_are_deleted_with_the_rest_of_the_request(
    settings: StoreSettings,
) -> None:
    async with open_store(settings) as store:
        first = (await store.writer.submit(WriteRequest((events(5),)))).commit_seq
        await store.writer.submit(WriteRequest((events(5),)))
        delete = Delete("events", keys((1, first), (3, first)), expected_rows=2)
        await store.writer.submit(WriteRequest((model("m"), delete)))
        assert await offsets(store) == [0, 0, 1, 2, 2, 3, 4, 4]
        assert await store.reader.fetch_rows("SELECT model FROM models") == [("m",)]


@pytest.mark.parametrize("expected", [1, 3])
async def test_another_number_of_rows_refuses_the_whole_request_and_no_other(
    settings: StoreSettings, expected: int
) -> None:
    async with open_store(settings) as store:
        first = (await store.writer.submit(WriteRequest((events(3),)))).commit_seq
        delete = Delete("events", keys((0, first), (1, first), (7, first)), expected)
        with pytest.raises(SchemaMismatchError, match=f"{expected} rows were to be deleted, 2 are"):
            await store.writer.submit(WriteRequest((model("m"), delete)))
        await store.writer.submit(WriteRequest((model("after"),)))
        assert await offsets(store) == [0, 1, 2]
        assert await store.reader.fetch_rows("SELECT model FROM models") == [("after",)]


@pytest.mark.parametrize(
    ("table", "by", "message"),
    [
        ("nothing", keys((0, 1)), "no table 'nothing'"),
        ("events", pa.record_batch({"place": [1]}), "no such columns to delete by: .'place'"),
        ("events", pa.RecordBatch.from_pylist([]), "needs columns"),
        ("events", pa.RecordBatch.from_arrays([[1], [1]], ["offset", "offset"]), "given twice"),
    ],
)
async def test_a_delete_that_cannot_fit_is_refused_before_it_is_queued(
    settings: StoreSettings, table: str, by: pa.RecordBatch, message: str
) -> None:
    async with open_store(settings) as store:
        with pytest.raises(SchemaMismatchError, match=message):
            await store.writer.submit(WriteRequest((Delete(table, by, 0),)))
