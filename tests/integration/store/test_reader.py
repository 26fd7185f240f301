"""Reading beside the writer."""

import itertools
import time
from datetime import datetime

import pyarrow as pa
import pytest
import trio

from engine.errors import DeadlineExceededError, StoreError
from engine.records import Upsert, WriteRequest
from engine.store import StoreSettings, open_store

ENDLESS = (
    "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE (a.range * b.range) % 7 = 3"
)


async def test_a_reader_cannot_write(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        with pytest.raises(StoreError, match="read-only"):
            await store.reader.fetch_rows("DELETE FROM events")
        with pytest.raises(StoreError, match="read-only"):
            await store.reader.fetch_rows("CREATE TABLE mine (a INTEGER)")


async def test_sql_reaches_no_other_file(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        with pytest.raises(StoreError, match="disabled"):
            await store.reader.fetch_rows("SELECT * FROM read_text('/etc/hostname')")


async def test_a_query_past_its_deadline_is_interrupted(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        started_s = time.perf_counter()
        with pytest.raises(DeadlineExceededError, match=r"0\.05 s"):
            await store.reader.fetch_rows(ENDLESS, timeout_s=0.05)
        assert time.perf_counter() - started_s < 5
        assert await store.reader.fetch_rows("SELECT 1") == [(1,)]


async def test_a_cancelled_query_frees_its_cursor(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        for _ in range(5):
            with trio.move_on_after(0.02) as scope:
                await store.reader.fetch_arrow(ENDLESS)
            assert scope.cancelled_caught
        assert (await store.reader.fetch_arrow("SELECT 1 AS one")).to_pylist() == [{"one": 1}]


async def test_a_query_cancelled_before_it_starts_ends_at_once(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.reader.fetch_rows(ENDLESS)
        assert scope.cancelled_caught
        assert await store.reader.fetch_rows("SELECT 1") == [(1,)]


async def test_given_tables_are_seen_by_their_query_only(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        labels = pa.table({"k": [1, 2]})
        found = await store.reader.fetch_arrow(
            "SELECT sum(k) AS s FROM labels", tables={"labels": labels}
        )
        assert found.to_pylist() == [{"s": 3}]
        with pytest.raises(StoreError, match="labels"):
            await store.reader.fetch_arrow("SELECT * FROM labels")


async def test_a_wrong_query_names_its_fault(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        with pytest.raises(StoreError, match="nowhere"):
            await store.reader.fetch_rows("SELECT * FROM nowhere")


async def test_parameters_are_bound_by_place_and_by_name(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        assert await store.reader.fetch_rows("SELECT ? + 1", [1]) == [(2,)]
        assert (await store.reader.fetch_arrow("SELECT $a AS a", {"a": 3})).to_pylist() == [
            {"a": 3}
        ]


async def test_queries_of_a_snapshot_see_one_commit_whatever_is_written_between(
    settings: StoreSettings,
) -> None:
    count = ("SELECT count(*) AS n FROM models", ())
    slow = ("SELECT sum(hash(range)) AS s FROM range(60000000)", ())
    async with open_store(settings) as store, trio.open_nursery() as nursery:

        async def write() -> None:
            for number in itertools.count():
                row = (f"m{number}", "", "user", datetime(2026, 1, 1))  # noqa: DTZ001 - UTC
                columns = ("model", "description", "entity", "created_at")
                await store.writer.submit(WriteRequest((Upsert("models", columns, [row]),)))

        nursery.start_soon(write)
        while store.writer.commit_seq < 3:
            await trio.lowlevel.checkpoint()
        begun = store.writer.commit_seq
        before, _, after = await store.reader.fetch_snapshot([count, slow, count])
        assert store.writer.commit_seq > begun + 3
        assert before.equals(after)
        assert before["n"][0].as_py() <= begun + 2
        nursery.cancel_scope.cancel()
