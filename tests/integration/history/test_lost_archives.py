"""What cannot be read is named; nothing of an answer passes for the whole."""

import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trio

from engine.backends.blobs import BlobStore
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.errors import DataLossError, ResourceExhaustedError, UnavailableError
from engine.history import HistoryQuery
from engine.records import Upsert, WriteRequest
from tests.support.archived_rows import (
    DAY_US,
    EVENTS,
    START_US,
    append,
    make_events,
    move,
    read_all,
    spread,
)


@pytest.fixture
async def blob(world) -> str:
    """The second of three archives, before rows of the file."""
    await append(world.store, EVENTS, make_events(spread(2_000)))
    found = [
        await move(world.store, world.blobs, EVENTS, START_US + day * DAY_US) for day in (2, 4, 6)
    ]
    assert found[1]
    return found[1]


def path_of(blob: str, tmp_path: Path) -> Path:
    return tmp_path / "blobs/objects" / blob.replace("/", "+")


async def read_until_it_fails(world) -> tuple[int, Exception]:
    count = 0
    try:
        async with world.reads().open(HistoryQuery(EVENTS)) as read:
            while (rows := await read.next_rows()) is not None:
                count += rows.num_rows
    except Exception as error:  # noqa: BLE001 - it is returned
        return count, error
    pytest.fail("it did not fail")


async def test_a_missing_archive_is_named(world, blob: str) -> None:
    await world.blobs.delete(blob)
    count, error = await read_until_it_fails(world)
    assert isinstance(error, DataLossError)
    assert blob in str(error)
    assert "missing" in str(error)
    assert 0 < count < 1_000
    # What does not touch it can be read all the same.
    assert await read_all(world.reads(), HistoryQuery(EVENTS, from_us=START_US + 4 * DAY_US))


@pytest.mark.parametrize("place", ["first", "middle", "footer"])
async def test_a_damaged_archive_is_named(world, blob: str, tmp_path: Path, place: str) -> None:
    path = path_of(blob, tmp_path)
    content = bytearray(path.read_bytes())
    at = {"first": 4, "middle": len(content) // 2, "footer": len(content) - 60}[place]
    content[at] ^= 1
    path.write_bytes(content)
    count, error = await read_until_it_fails(world)
    assert isinstance(error, DataLossError)
    assert blob in str(error)
    assert count < 1_000


async def test_an_archive_cut_short_is_named(world, blob: str, tmp_path: Path) -> None:
    path = path_of(blob, tmp_path)
    path.write_bytes(path.read_bytes()[:1_000])
    _, error = await read_until_it_fails(world)
    assert isinstance(error, DataLossError)
    assert blob in str(error)


async def test_an_archive_that_was_replaced_is_told_by_its_digest(world, blob: str) -> None:
    """The store finds nothing wrong with it: it was put there by its own means."""
    await world.blobs.put(blob, b"PAR1 something else")
    _, error = await read_until_it_fails(world)
    assert isinstance(error, DataLossError)
    assert "sha256" in str(error)
    assert blob in str(error)


def unsorted(rows: pa.Table) -> pa.Table:
    return rows.take(list(reversed(range(rows.num_rows))))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (unsorted, "not in the order"),
        (lambda rows: rows.drop_columns(["action"]), "no column action"),
        (lambda rows: rows.slice(1), "rows, not"),
        (lambda rows: rows.set_column(0, "user_id", pa.nulls(rows.num_rows, pa.int64())), "lacks"),
        (lambda rows: rows.set_column(0, "user_id", pa.array(["x"] * rows.num_rows)), "be read"),
        (None, "be read"),
    ],
)
async def test_what_is_no_archive_of_the_table_is_refused(world, blob: str, change, told) -> None:
    """Though its digest is the one that is written down."""
    content = await world.blobs.get_bytes(blob, 10_000_000)
    if change is None:
        content = b"not Parquet at all"
    else:
        sink = pa.BufferOutputStream()
        pq.write_table(change(pq.read_table(pa.BufferReader(content))), sink)
        content = sink.getvalue().to_pybytes()
    info = await world.blobs.put(blob, content)
    await _write_down(world.store, blob, info.sha256)
    _, error = await read_until_it_fails(world)
    assert isinstance(error, DataLossError)
    assert told in str(error)
    assert blob in str(error)


async def test_a_store_that_is_away_is_worth_another_try(world, blob: str, tmp_path: Path) -> None:
    (tmp_path / "blobs/objects").rename(tmp_path / "elsewhere")
    _, error = await read_until_it_fails(world)
    assert isinstance(error, UnavailableError)
    assert error.retry_after_s
    assert "archive/events/" in str(error)
    (tmp_path / "elsewhere").rename(tmp_path / "blobs/objects")
    assert len(await read_all(world.reads(), HistoryQuery(EVENTS))) == 2_000


async def test_a_disk_that_takes_no_archive_is_named(world, blob: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))  # as good as full
    try:
        _, error = await read_until_it_fails(world)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(error, ResourceExhaustedError)
    assert str(world.folder) in str(error)
    assert "archive/events/" in str(error)
    assert len(await read_all(world.reads(), HistoryQuery(EVENTS))) == 2_000


async def test_a_read_that_is_left_or_cancelled_leaves_nothing_and_frees_its_place(world) -> None:
    await append(world.store, EVENTS, make_events(spread(4_000)))
    await move(world.store, world.blobs, EVENTS, START_US + 9 * DAY_US)
    reads = world.reads(most_reads=1)
    before = _count_descriptors()
    async with reads.open(HistoryQuery(EVENTS)) as read:
        assert await read.next_rows()
    for checkpoints in range(0, 60, 6):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, checkpoints, scope)
                await read_all(reads, HistoryQuery(EVENTS))
    assert len(await read_all(reads, HistoryQuery(EVENTS))) == 4_000
    assert _count_descriptors() <= before


def _count_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


async def _cancel_after(checkpoints: int, scope: trio.CancelScope) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_one_blob_is_fetched_once_for_a_read_of_all(world, blob: str, tmp_path) -> None:
    """Though 2,000 rows are read of three archives, batch by batch."""
    counted = _CountingDriver(open_blob_files(tmp_path / "blobs"), 10.0)
    reads = type(world)(world.store, BlobStore(counted), world.folder).reads()
    assert len(await read_all(reads, HistoryQuery(EVENTS))) == 2_000
    assert sorted(counted.opened) == sorted(set(counted.opened))
    assert len(counted.opened) == 3


class _CountingDriver(FolderDriver):
    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.opened: list[str] = []

    async def open_download(self, name: str):
        self.opened.append(name)
        return await super().open_download(name)


async def _write_down(store, blob: str, sha256: str) -> None:
    [(archive_id,)] = await store.reader.fetch_rows(
        "SELECT archive_id FROM archives WHERE blob = ?", [blob]
    )
    row = Upsert("archives", ("archive_id", "sha256"), [(archive_id, sha256)])
    await store.writer.submit(WriteRequest((row,)))
