"""A snapshot of the data file while the writer goes on."""

from datetime import datetime
from pathlib import Path

import attrs
import duckdb
import pyarrow as pa
import pytest
import trio

from engine.errors import FailedPreconditionError
from engine.records import EVENTS_SCHEMA, Append, WriteRequest
from engine.store import StoreSettings, Writer, open_store
from engine.store.snapshot import Snapshot

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001 - the file keeps UTC without a zone
ROWS = 2_000


def request(first_offset: int) -> WriteRequest:
    columns = {
        "user_id": range(ROWS),
        "action": [f"click-{first_offset}"] * ROWS,
        "event_time": [NOW] * ROWS,
        "ingest_time": [NOW] * ROWS,
        "value": [1.5] * ROWS,
        "properties": ['{"a":1}'] * ROWS,
        "topic": ["t"] * ROWS,
        "partition": [0] * ROWS,
        "offset": range(first_offset, first_offset + ROWS),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in EVENTS_SCHEMA]
    return WriteRequest((Append("events", pa.record_batch(arrays, schema=EVENTS_SCHEMA)),))


@pytest.fixture
def eager(settings: StoreSettings) -> StoreSettings:
    """Checkpoints after every commit, unless they are held off."""
    return attrs.evolve(settings, checkpoint_wal_bytes=1, checkpoint_idle_wal_bytes=1)


async def write(writer: Writer, commits: int) -> None:
    for _ in range(commits):
        await writer.submit(request(writer.commit_seq * ROWS))


def copy(snapshot: Snapshot, folder: Path) -> Path:
    """Copy what a snapshot describes, as it is on the disk by now."""
    wal = snapshot.path.with_name(snapshot.path.name + ".wal")
    target = folder / "copy.duckdb"
    target.write_bytes(snapshot.path.read_bytes()[: snapshot.data_bytes])
    if snapshot.wal_bytes:
        (folder / "copy.duckdb.wal").write_bytes(wal.read_bytes()[: snapshot.wal_bytes])
    return target


async def test_copy_made_while_others_write_is_the_state_of_its_commit(
    eager: StoreSettings, tmp_path: Path
) -> None:
    async with open_store(eager) as store, trio.open_nursery() as nursery:
        writer = store.writer
        await write(writer, 5)
        nursery.start_soon(write, writer, 40)
        for _ in range(3):
            await writer.submit(request(0))
        snapshot = await writer.begin_snapshot()
        await write(writer, 10)
        target = copy(snapshot, tmp_path)
        assert writer.commit_seq >= snapshot.commit_seq + 10
        writer.checkpoint_hold.end(snapshot.backup_id)
    with duckdb.connect(str(target)) as copied:
        found = copied.execute("SELECT count(*), max(commit_seq) FROM events").fetchall()
    assert found == [(snapshot.row_counts["events"], snapshot.commit_seq)]
    assert 0 < snapshot.row_counts["events"] < 58 * ROWS


async def test_checkpoints_wait_for_the_end_of_the_snapshot(eager: StoreSettings) -> None:
    async with open_store(eager) as store:
        await write(store.writer, 1)
        snapshot = await store.writer.begin_snapshot()
        header = snapshot.path.read_bytes()[: 3 * 4096]
        await write(store.writer, 5)
        assert snapshot.path.read_bytes()[: 3 * 4096] == header
        store.writer.checkpoint_hold.end(snapshot.backup_id)
        with trio.fail_after(10):
            while snapshot.path.read_bytes()[: 3 * 4096] == header:
                await write(store.writer, 1)


async def test_snapshot_that_the_writer_outgrew_is_refused(eager: StoreSettings) -> None:
    async with open_store(attrs.evolve(eager, held_wal_bytes=100_000)) as store:
        await write(store.writer, 1)
        snapshot = await store.writer.begin_snapshot()
        await write(store.writer, 10)
        with pytest.raises(FailedPreconditionError, match="not to be used"):
            store.writer.checkpoint_hold.end(snapshot.backup_id)


async def test_second_snapshot_is_refused_while_the_first_is_copied(
    settings: StoreSettings,
) -> None:
    async with open_store(settings) as store:
        first = await store.writer.begin_snapshot()
        with pytest.raises(FailedPreconditionError, match="another backup"):
            await store.writer.begin_snapshot()
        store.writer.checkpoint_hold.end(first.backup_id)
        await store.writer.begin_snapshot()
