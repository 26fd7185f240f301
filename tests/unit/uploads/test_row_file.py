"""Rows of an attempt outlast nothing, are whole or refused, and leave no name on the disk."""

import errno
import os
import resource
import signal
from pathlib import Path

import pyarrow as pa
import pytest

from engine.records import FEATURE_HISTORY_SCHEMA
from engine.uploads.row_file import RowFile, RowFileClosedError


def batch(*keys: int, text: str = "{}") -> pa.RecordBatch:
    n = len(keys)
    columns = [keys, ["said"] * n, [text] * n, range(n)]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, FEATURE_HISTORY_SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=FEATURE_HISTORY_SCHEMA)


def keys_of(rows: RowFile) -> list[int]:
    return [key for read in rows.read() for key in read.column("entity_key").to_pylist()]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def rows(tmp_path):
    rows = RowFile(tmp_path, "profiles")
    yield rows
    rows.close()


def test_rows_are_read_in_order_as_often_as_one_likes(rows, tmp_path):
    rows.append([batch(3, 1), batch(2)])
    rows.append([batch(9, text="ü" * 100_000)])
    assert rows.row_count == 4
    assert keys_of(rows) == keys_of(rows) == [3, 1, 2, 9]
    [first, *_, last] = rows.read()
    assert first.schema == FEATURE_HISTORY_SCHEMA
    assert first.column("dataset").to_pylist() == ["profiles"] * 2
    assert last.column("fields").to_pylist() == ["ü" * 100_000]
    assert list(tmp_path.iterdir()) == []


def test_without_rows_there_is_nothing_to_read(rows):
    assert list(rows.read()) == []
    assert rows.row_count == 0


def test_rows_written_while_others_are_read_are_not_read(rows):
    rows.append([batch(1)])
    reading = rows.read()
    assert next(reading).num_rows == 1
    rows.append([batch(2)])
    assert list(reading) == []


def test_sealed_rows_stay_what_they_are(rows):
    rows.append([batch(1)])
    rows.seal()
    with pytest.raises(RowFileClosedError):
        rows.append([batch(2)])
    assert keys_of(rows) == [1]


def test_closed_rows_are_gone_once_their_reader_has_finished(rows):
    rows.append([batch(1), batch(2)])
    descriptors = open_files()
    reading = rows.read()
    next(reading)
    rows.close()
    rows.close()
    assert rows.row_count == 0
    assert next(reading).column("entity_key").to_pylist() == [2]
    assert open_files() == descriptors
    assert list(reading) == []
    assert open_files() == descriptors - 1
    with pytest.raises(RowFileClosedError):
        list(rows.read())
    with pytest.raises(RowFileClosedError):
        rows.append([batch(3)])


@pytest.mark.parametrize("before", [[], [1]])
def test_write_that_fails_in_the_middle_leaves_what_was_there(rows, before):
    for key in before:
        rows.append([batch(key)])
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            rows.append([batch(7, text="x" * 100_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert keys_of(rows) == before
    rows.append([batch(2)])
    assert keys_of(rows) == [*before, 2]


def test_rows_that_the_disk_has_lost_are_missed(rows):
    rows.append([batch(1)])
    kept = rows._size_bytes
    rows.append([batch(2)])
    os.ftruncate(rows._file.fileno(), kept)
    with pytest.raises(OSError, match="1 rows were read of 2"):
        list(rows.read())
    os.ftruncate(rows._file.fileno(), kept - 10)
    with pytest.raises(OSError, match=r"[Ee]xpected"):
        list(rows.read())
