"""Reading history: archives and data file as one, a few reads at a time."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa

from engine.backends.blobs import BlobStore
from engine.errors import ResourceExhaustedError
from engine.history.archive_cursor import ArchiveCursor, Shelf
from engine.history.archive_files import ArchiveFiles
from engine.history.archives import Archive
from engine.history.file_rows import FileCursor, FileQueries, fetch_outline
from engine.history.merging import Merge
from engine.history.selection import HistoryQuery, Selection
from engine.history.sorted_rows import Key
from engine.store import Reader

_MOST_READS: Final = 4
_THREADS: Final = 2
_RETRY_AFTER_S: Final = 5.0


class HistoryRead:
    """One read, as of one commit. Made by `HistoryReads.open`; read by one task."""

    def __init__(self, selection: Selection, shelf: Shelf) -> None:
        self._selection = selection
        self._shelf = shelf
        self._merge = Merge(selection.table, shelf.files.run)
        self._known: set[str] = set()
        self._rows_left = selection.query.limit
        self.rows_to_scan = 0

    @property
    def commit_seq(self) -> int:
        """The commit as of which it answers."""
        return self._selection.commit_seq

    @property
    def rows_scanned(self) -> int:
        """How many rows were looked at so far; in the end about `rows_to_scan`."""
        return self._merge.rows_scanned

    async def begin(self, queries: FileQueries) -> None:
        """Find out where the rows are.

        Raises: StoreError.
        """
        outline = await fetch_outline(queries, self._selection)
        self._note(outline.archives, ())
        if outline.row_count:
            self.rows_to_scan += outline.row_count
            self._merge.add([FileCursor(queries, self._selection, outline, self._note)])

    async def next_rows(self) -> pa.RecordBatch | None:
        """Return the next rows in the order of the table's key, at least one; None after the last.

        Raises:
          DataLossError: an archive is missing or damaged.
          UnavailableError: an archive cannot be fetched now.
          ResourceExhaustedError: the disk cannot take an archive.
          StoreError: the data file refused a query.
        Cancellation: a checkpoint; the read is of no more use then.
        """
        if self._rows_left == 0:
            return None
        rows = await self._merge.next_rows()
        if rows is not None and self._rows_left is not None:
            rows = rows.slice(0, self._rows_left)
            self._rows_left -= rows.num_rows
        return rows

    def _note(self, archives: Sequence[Archive], after: Key) -> None:
        added = [archive for archive in archives if archive.archive_id not in self._known]
        self._known.update(archive.archive_id for archive in added)
        self.rows_to_scan += sum(archive.row_count or 0 for archive in added)
        self._merge.add(
            ArchiveCursor(archive, self._selection, self._shelf, after=after) for archive in added
        )


class HistoryReads:
    """Opens reads. Used from the Trio thread, by any number of tasks."""

    def __init__(
        self,
        reader: Reader,
        store: BlobStore,
        folder: Path,
        latest_commit: Callable[[], int],
        *,
        most_reads: int = _MOST_READS,
    ) -> None:
        """Make it.

        Args:
          folder: on a disk with room for what is fetched: `most_reads` times 256 MiB, or as many
            of the largest archives.
          latest_commit: returns the latest commit of the data file.
        """
        self._queries = FileQueries(reader)
        self._files = ArchiveFiles(store, folder, threads=_THREADS)
        self._latest_commit = latest_commit
        self._most_reads = most_reads
        self._reads = 0

    @asynccontextmanager
    async def open(self, query: HistoryQuery) -> AsyncIterator[HistoryRead]:
        """Begin to read what a query means, as of now.

        Raises:
          InvalidArgumentError: the query cannot be meant.
          ResourceExhaustedError: enough reads are under way.
          StoreError: the data file refused a query.
        """
        query.check()
        if self._reads >= self._most_reads:
            raise ResourceExhaustedError(
                f"{self._reads} reads of history are under way, the most at a time", _RETRY_AFTER_S
            )
        self._reads += 1
        shelf = Shelf(self._files)
        try:
            read = HistoryRead(Selection(query, self._latest_commit()), shelf)
            await read.begin(self._queries)
            yield read
        finally:
            shelf.clear()
            self._reads -= 1
