"""The writer channel on a real data file."""

import threading
from collections.abc import Generator
from datetime import UTC, datetime

import attrs
import pyarrow as pa
import pytest
import trio
from prometheus_client import REGISTRY
from trio.testing import wait_all_tasks_blocked

from engine.errors import SchemaMismatchError, WriterClosedError
from engine.records import (
    EVENTS_SCHEMA,
    FEATURE_HISTORY_SCHEMA,
    Append,
    AppendStream,
    Commit,
    Statement,
    Upsert,
    WriteRequest,
)
from engine.store import StoreSettings, Writer, open_store

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - the file keeps UTC without a zone


def events(*user_ids: int, partition: int = 0, first_offset: int = 0) -> Append:
    n = len(user_ids)
    columns = {
        "user_id": user_ids,
        "action": ["click"] * n,
        "event_time": [NOW] * n,
        "ingest_time": [NOW] * n,
        "value": [1.5] * n,
        "properties": ['{"a":1}'] * n,
        "topic": ["t"] * n,
        "partition": [partition] * n,
        "offset": range(first_offset, first_offset + n),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in EVENTS_SCHEMA]
    return Append("events", pa.record_batch(arrays, schema=EVENTS_SCHEMA))


def offset(partition: int, next_offset: int) -> Upsert:
    columns = (
        "topic_partition", "topic", "partition", "next_offset", "broker_incarnation", "updated_at",
    )  # fmt: skip
    row = (f"t/{partition}", "t", partition, next_offset, "one", NOW)
    return Upsert("kafka_offsets", columns, [row])


def wal_bytes(settings: StoreSettings) -> int:
    try:
        return settings.path.with_name("trellis.duckdb.wal").stat().st_size
    except FileNotFoundError:
        return 0


async def test_a_request_is_on_disk_under_its_commit_sequence(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        receipt = await store.writer.submit(WriteRequest((events(1, 2), offset(0, 2))))
        assert (receipt.commit_seq, receipt.row_count) == (1, 3)
        rows = await store.reader.fetch_rows("SELECT user_id, commit_seq FROM events ORDER BY 1")
        assert rows == [(1, 1), (2, 1)]
        assert await store.reader.fetch_rows("SELECT next_offset FROM kafka_offsets") == [(2,)]


async def test_commit_sequence_goes_on_after_a_restart(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        await store.writer.submit(WriteRequest((events(1),)))
        await store.writer.submit(WriteRequest((offset(0, 1),)))
    async with open_store(settings) as store:
        assert store.writer.commit_seq == 2
        assert (await store.writer.submit(WriteRequest((offset(0, 2),)))).commit_seq == 3


async def test_requests_that_queued_together_share_one_commit(settings: StoreSettings) -> None:
    commits: list[Commit] = []
    async with open_store(settings) as store:
        store.writer.add_commit_listener(commits.append)
        async with trio.open_nursery() as nursery:
            for user_id in range(50):
                nursery.start_soon(store.writer.submit, WriteRequest((events(user_id),)))
    assert sum(len(commit.requests) for commit in commits) == 50
    assert len(commits) < 10


async def test_a_faulty_request_fails_alone_and_atomically(settings: StoreSettings) -> None:
    """The NULL passes Arrow but not the table; its neighbours in the same group are written."""
    nullable = pa.schema([field.with_nullable(True) for field in EVENTS_SCHEMA])
    columns = [
        pa.array([None], field.type) if field.name == "user_id" else column
        for field, column in zip(nullable, events(1).data.columns, strict=True)
    ]
    broken = Append("events", pa.RecordBatch.from_arrays(columns, schema=nullable))
    refused: list[SchemaMismatchError] = []

    async with open_store(settings) as store:

        async def submit_broken() -> None:
            with pytest.raises(SchemaMismatchError) as caught:
                await store.writer.submit(WriteRequest((offset(7, 1), broken)))
            refused.append(caught.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.writer.submit, WriteRequest((events(1), offset(0, 1))))
            nursery.start_soon(submit_broken)
            nursery.start_soon(store.writer.submit, WriteRequest((events(2), offset(1, 1))))
        assert "NOT NULL" in str(refused[0])
        rows = await store.reader.fetch_rows("SELECT user_id FROM events ORDER BY 1")
        assert rows == [(1,), (2,)]
        rows = await store.reader.fetch_rows("SELECT partition FROM kafka_offsets ORDER BY 1")
        assert rows == [(0,), (1,)]


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Append("nope", events(1).data), "no table 'nope'"),
        (Append("events", pa.record_batch({"user_id": [1]})), "missing columns"),
        (Append("kafka_offsets", events(1).data), "missing columns"),
        (Statement("nope", {}), "no statement 'nope'"),
        (Upsert("events", ("user_id",), [(1,)]), "needs its primary key"),
        (Upsert("kafka_offsets", ("topic_partition", "nope"), [("t/0", 1)]), r"\['nope'\]"),
        (Upsert("kafka_offsets", ("topic_partition", "commit_seq"), [("t/0", 1)]), "commit_seq"),
        (Upsert("kafka_offsets", ("topic_partition",), [("t/0", 1)]), "2 values for 1 columns"),
    ],
)
async def test_a_request_that_does_not_fit_the_schema_is_refused_at_once(
    settings: StoreSettings, operation: Append | Statement | Upsert, message: str
) -> None:
    async with open_store(settings) as store:
        with pytest.raises(SchemaMismatchError, match=message):
            await store.writer.submit(WriteRequest((operation,)))
        assert store.writer.commit_seq == 0


async def test_upsert_keeps_columns_it_does_not_name(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        await store.writer.submit(WriteRequest((offset(0, 1),)))
        update = Upsert("kafka_offsets", ("topic_partition", "last_fingerprint"), [("t/0", "abc")])
        await store.writer.submit(WriteRequest((update,)))
        rows = await store.reader.fetch_rows(
            "SELECT next_offset, last_fingerprint, commit_seq FROM kafka_offsets"
        )
        assert rows == [(1, "abc", 2)]


async def test_rows_of_one_commit_are_numbered_in_request_order(settings: StoreSettings) -> None:
    def history(value: str) -> WriteRequest:
        columns = [[1], ["profiles"], [value], [NOW]]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, FEATURE_HISTORY_SCHEMA, strict=True)]
        data = pa.record_batch(arrays, schema=FEATURE_HISTORY_SCHEMA)
        return WriteRequest((Append("feature_history", data),))

    commits: list[Commit] = []
    async with open_store(settings) as store:
        store.writer.add_commit_listener(commits.append)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(store.writer.submit, history(str(number)))
        rows = await store.reader.fetch_rows(
            "SELECT commit_seq, ordinal, fields FROM feature_history ORDER BY commit_seq, ordinal"
        )
    told = [
        (commit.commit_seq, ordinal, request.operations[0].data["fields"][0].as_py())  # type: ignore[union-attr]
        for commit in commits
        for ordinal, request in enumerate(commit.requests)
    ]
    assert rows == told


async def test_senders_wait_when_the_queue_is_full(settings: StoreSettings) -> None:
    """A transaction could take all of it; only the bound on the queue keeps groups small."""
    small = attrs.evolve(settings, queue_rows=10, batch_rows=1_000_000)
    async with open_store(small) as store:
        rows_of_commits: list[int] = []
        store.writer.add_commit_listener(
            lambda commit: rows_of_commits.append(sum(r.row_count for r in commit.requests))
        )
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(store.writer.submit, WriteRequest((events(*range(5)),)))
        assert sum(rows_of_commits) == 100
        assert max(rows_of_commits) <= 10


async def test_a_request_larger_than_the_queue_is_written_alone(settings: StoreSettings) -> None:
    async with open_store(attrs.evolve(settings, queue_rows=3)) as store:
        commits: list[Commit] = []
        store.writer.add_commit_listener(commits.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.writer.submit, WriteRequest((events(1),)))
            nursery.start_soon(store.writer.submit, WriteRequest((events(*range(50)),)))
        assert sorted(len(commit.requests) for commit in commits) == [1, 1]


async def test_a_listener_that_fails_ends_the_writer_and_every_sender_hears_of_it(
    settings: StoreSettings,
) -> None:
    """Memory and disk would disagree from then on; nobody may be left waiting."""
    refused: list[WriterClosedError] = []

    def fail(commit: Commit) -> None:
        raise ArithmeticError(commit.commit_seq)

    async def submit(writer: Writer, number: int) -> None:
        with trio.CancelScope(shield=True), trio.fail_after(10):
            try:
                await writer.submit(WriteRequest((events(number),)))
            except WriterClosedError as error:
                refused.append(error)

    async def run_store() -> None:
        async with open_store(attrs.evolve(settings, queue_rows=2)) as store:
            store.writer.add_commit_listener(fail)
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(submit, store.writer, number)

    with pytest.raises(ExceptionGroup) as caught:
        await run_store()
    assert caught.group_contains(ArithmeticError)
    assert len(refused) == 10


async def test_what_had_queued_is_written_when_the_store_is_cancelled(
    settings: StoreSettings,
) -> None:
    async with trio.open_nursery() as nursery, open_store(settings) as store:
        for user_id in range(20):
            nursery.start_soon(store.writer.submit, WriteRequest((events(user_id),)))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    async with open_store(settings) as store:
        assert await store.reader.fetch_rows("SELECT count(*) FROM events") == [(20,)]


async def test_nothing_is_accepted_after_closing(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        writer = store.writer
    with pytest.raises(WriterClosedError):
        await writer.submit(WriteRequest((events(1),)))


async def test_a_long_log_is_checkpointed_without_an_idle_moment(settings: StoreSettings) -> None:
    eager = attrs.evolve(settings, checkpoint_wal_bytes=100_000, checkpoint_idle_s=3600.0)
    async with open_store(eager) as store:
        longest = 0
        for first in range(0, 100_000, 5_000):
            await store.writer.submit(WriteRequest((events(*range(first, first + 5_000)),)))
            longest = max(longest, wal_bytes(settings))
        assert longest < 1_000_000


async def test_an_idle_moment_is_used_for_a_checkpoint(settings: StoreSettings) -> None:
    lazy = attrs.evolve(settings, checkpoint_idle_wal_bytes=1, checkpoint_idle_s=0.01)
    async with open_store(lazy) as store:
        await store.writer.submit(WriteRequest((events(1),)))
        with trio.fail_after(5):
            while wal_bytes(settings) > 0:
                await trio.lowlevel.checkpoint()


async def test_times_are_kept_to_the_microsecond(settings: StoreSettings) -> None:
    async with open_store(settings) as store:
        await store.writer.submit(WriteRequest((events(1),)))
        [(micros,)] = await store.reader.fetch_rows("SELECT epoch_us(event_time) FROM events")
    assert micros == int(NOW.replace(tzinfo=UTC).timestamp() * 1_000_000)


async def test_a_row_that_may_be_added_once_is_refused_the_second_time_with_its_request(
    settings: StoreSettings,
) -> None:
    outcome = pa.record_batch(
        {
            "outcome_key": ["j/1"],
            "job_id": ["j"],
            "run": pa.array([1], pa.int32()),
            "state": ["SUCCEEDED"],
            "finished_at": pa.array([0], pa.timestamp("us")),
        }
    )
    once = WriteRequest((Append("events", events(1).data), Append("job_outcomes", outcome)))
    async with open_store(settings) as store:
        await store.writer.submit(once)
        with pytest.raises(SchemaMismatchError, match="j/1"):
            await store.writer.submit(once)
        assert await store.reader.fetch_rows("SELECT count(*) FROM events") == [(1,)]


class Rows:
    """Rows of `feature_history` in batches, read from where they are as often as one likes."""

    def __init__(self, *batches: list[int], fault: Exception | None = None) -> None:
        self.batches = batches
        self.fault = fault
        self.reads = self.closed = 0

    def read(self) -> Generator[pa.RecordBatch, None, None]:
        self.reads += 1
        for keys in self.batches:
            yield uploaded(*keys)
        if self.fault is not None:
            raise self.fault

    def close(self) -> None:
        self.closed += 1

    def append(self) -> AppendStream:
        rows = sum(map(len, self.batches))
        return AppendStream("feature_history", FEATURE_HISTORY_SCHEMA, self, rows)


def uploaded(*keys: int) -> pa.RecordBatch:
    n = len(keys)
    columns = [keys, ["profiles"] * n, ["{}"] * n, [0] * n]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, FEATURE_HISTORY_SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=FEATURE_HISTORY_SCHEMA)


MOVED = "SELECT entity_key, ordinal, commit_seq FROM feature_history ORDER BY ordinal"


async def test_streamed_rows_come_in_their_order_after_those_that_are_held(
    settings: StoreSettings,
) -> None:
    first, second = Rows([3, 1], [2]), Rows([4])
    async with open_store(settings) as store:
        receipt = await store.writer.submit(
            WriteRequest((first.append(), Append("feature_history", uploaded(9)), second.append()))
        )
        rows = await store.reader.fetch_rows(MOVED)
    assert rows == [(key, n, receipt.commit_seq) for n, key in enumerate([9, 3, 1, 2, 4])]
    assert receipt.row_count == 5
    assert (first.closed, second.closed) == (1, 1)


@pytest.mark.parametrize("fault", [OSError(5, "broken"), pa.ArrowInvalid("torn")])
async def test_stream_that_breaks_off_refuses_its_own_request_alone(
    settings: StoreSettings, fault: Exception
) -> None:
    broken, good = Rows([1], [2], fault=fault), Rows([3])
    async with open_store(settings) as store:

        async def submit_broken() -> None:
            with pytest.raises(SchemaMismatchError, match=r"broken|torn"):
                await store.writer.submit(WriteRequest((events(7), broken.append())))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.writer.submit, WriteRequest((events(8),)))
            nursery.start_soon(submit_broken)
            nursery.start_soon(store.writer.submit, WriteRequest((good.append(),)))
        assert [key for key, _, _ in await store.reader.fetch_rows(MOVED)] == [3]
        assert await store.reader.fetch_rows("SELECT user_id FROM events") == [(8,)]
    assert (broken.closed, good.closed) == (0, 1)


async def test_commit_that_does_not_end_is_shown_while_it_does_not(
    settings: StoreSettings,
) -> None:
    begun, released = threading.Event(), threading.Event()

    class Held(Rows):
        def read(self) -> Generator[pa.RecordBatch, None, None]:
            begun.set()
            released.wait()
            yield from super().read()

    def busy_s() -> float:
        return REGISTRY.get_sample_value("trellis_writer_busy_seconds") or 0.0

    async with open_store(settings) as store:
        assert busy_s() == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.writer.submit, WriteRequest((Held([1]).append(),)))
            try:
                await trio.to_thread.run_sync(begun.wait)
                earlier_s, later_s = busy_s(), busy_s()
                assert 0 < earlier_s < later_s
            finally:
                released.set()
        assert busy_s() == 0


async def test_streamed_rows_of_a_wrong_table_are_refused_before_they_are_read(
    settings: StoreSettings,
) -> None:
    rows = Rows([1])
    wrong = AppendStream("events", FEATURE_HISTORY_SCHEMA, rows, 1)
    async with open_store(settings) as store:
        with pytest.raises(SchemaMismatchError, match="missing columns"):
            await store.writer.submit(WriteRequest((wrong,)))
    assert rows.reads == 0
