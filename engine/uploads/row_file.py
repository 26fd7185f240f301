"""Rows of one attempt, in a file without a name.

They are no acknowledged data: if the engine dies the job runs again. A file without a name needs no
clearing up after that, and nobody else can open it. It takes disk where the rows of millions would
take memory; it is written and read in blocks and never mapped, since mapped pages count as memory.
"""

import io
import os
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from engine.records import FEATURE_HISTORY_SCHEMA

_SCHEMA = pa.schema([field for field in FEATURE_HISTORY_SCHEMA if field.name != "dataset"])
_PREFIX = "trellis-rows-"
"""Seen on file systems where a file has a name until that is removed, for a moment."""


class RowFileClosedError(OSError):
    """The attempt that the rows are of is over."""

    def __init__(self) -> None:
        super().__init__("the attempt is over")


class RowFile:
    """An `engine.records.RowSource` that grows. `append` and `read` block: for threads.

    Args:
      folder: where the file lies; there is none before the first row.
      dataset: of all its rows.
    """

    def __init__(self, folder: Path, dataset: str) -> None:
        self._folder = folder
        self._dataset = dataset
        self._file: io.FileIO | None = None
        self._turn = threading.Lock()
        """One thread writes at a time."""
        self._state = threading.Lock()
        """Held to look and count, never while the disk works."""
        self._users = 0
        self._sealed = self._closed = False
        self._row_count = 0
        self._size_bytes = 0

    @property
    def row_count(self) -> int:
        """How many rows there are; none once it is closed."""
        return 0 if self._closed else self._row_count

    @property
    def closed(self) -> bool:
        return self._closed

    def append(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Add rows, all of them or none.

        Args:
          batches: with the columns of records.FEATURE_HISTORY_SCHEMA; their dataset is left out.
        Raises:
          OSError: they cannot be written.
          RowFileClosedError: the file is sealed or closed.
        """
        content = b"".join(
            batch.select(_SCHEMA.names).serialize().to_pybytes() for batch in batches
        )
        with self._turn, self._in_use():
            if self._file is None:
                self._file = tempfile.TemporaryFile(  # noqa: SIM115 - closed by `close`
                    dir=self._folder, prefix=_PREFIX, buffering=0
                )
            if not self._size_bytes:
                content = _SCHEMA.serialize().to_pybytes() + content
            # What a failed write leaves lies behind what counts, and the next one goes over it.
            end = _write_all(self._file.fileno(), content, at=self._size_bytes)
            with self._state:
                if self._sealed:
                    raise RowFileClosedError
                self._size_bytes = end
                self._row_count += sum(batch.num_rows for batch in batches)

    def seal(self) -> None:
        """Take no more rows, so that what is counted is what will be read."""
        with self._state:
            self._sealed = True

    def read(self) -> Generator[pa.RecordBatch, None, None]:
        """Yield the rows in order, with the columns of records.FEATURE_HISTORY_SCHEMA.

        Raises: while iterating, OSError: they cannot be read, or the file is closed.
        """
        with self._in_use():
            if self._file is None or not self._size_bytes:
                return
            rows, expected = 0, self._row_count
            window = _Window(self._file.fileno(), self._size_bytes)
            try:
                for batch in pa.ipc.open_stream(pa.PythonFile(window, mode="r")):
                    rows += batch.num_rows
                    yield self._with_dataset(batch)
            except pa.ArrowException as error:
                raise OSError(f"the rows cannot be read: {error}") from error
            if rows != expected:
                raise OSError(f"{rows} rows were read of {expected} that were written")

    def close(self) -> None:
        """Give the disk back, once whoever is at the file has finished. Never waits; any thread."""
        with self._state:
            self._closed = self._sealed = True
            self._close_unless_used()

    def _with_dataset(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        keys, fields, times = batch.columns
        names = pa.repeat(pa.scalar(self._dataset, pa.string()), batch.num_rows)
        return pa.RecordBatch.from_arrays(
            [keys, names, fields, times], schema=FEATURE_HISTORY_SCHEMA
        )

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._state:
            if self._closed:
                raise RowFileClosedError
            self._users += 1
        try:
            yield
        finally:
            with self._state:
                self._users -= 1
                self._close_unless_used()

    def _close_unless_used(self) -> None:
        if self._closed and not self._users and self._file is not None:
            self._file.close()


def _write_all(descriptor: int, content: bytes, *, at: int) -> int:
    """Write at a position; return that of the end."""
    left = memoryview(content)
    while left:
        written = os.pwrite(descriptor, left, at)
        at += written
        left = left[written:]
    return at


class _Window(io.RawIOBase):
    """The beginning of a file, read with a position of its own."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._end = size_bytes
        self._at = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = self._end - self._at
        content = os.pread(self._descriptor, left if size < 0 else min(size, left), self._at)
        self._at += len(content)
        return content
