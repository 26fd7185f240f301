"""Rows of a selection that are in an archive, and how many archives are on the disk at once."""

from collections.abc import Iterator
from typing import IO, Final

import attrs

from engine.errors import ResourceExhaustedError
from engine.history.archive_files import ArchiveFiles
from engine.history.archives import Archive
from engine.history.cursors import Cursor
from engine.history.scanning import ScannedRows, scan_archive
from engine.history.selection import Selection
from engine.history.sorted_rows import Key, SortedRows

MOST_FILES: Final = 32
MOST_BYTES: Final = 512 * 2**20
"""What one read has on the disk. A single archive may have more; then it is there alone."""
_MOST_FETCHES_EACH: Final = 4
_KEPT_ROWS: Final = 64
_KEPT_BYTES: Final = 64 * 1024
"""Of each archive that was taken off the disk again, and there may be thousands."""


@attrs.define(eq=False)
class _Scanning:
    """An archive that is on the disk."""

    file: IO[bytes]
    _batches: Iterator[ScannedRows]

    def read_next(self) -> ScannedRows | None:
        return next(self._batches, None)


class ArchiveCursor(Cursor):
    """Reads an archive from where its rows are wanted on, fetching it only then."""

    def __init__(
        self, archive: Archive, selection: Selection, shelf: "Shelf", *, after: Key = ()
    ) -> None:
        """Begin.

        Args:
          after: rows whose key is less are left out.
        """
        super().__init__(max((archive.first_us,), after))
        self.archive = archive
        self._selection = selection
        self._shelf = shelf
        self._after = after
        self._scanning: _Scanning | None = None
        self._latest: ScannedRows | None = None
        self._start = 0

    async def load(self) -> None:
        """Load the next rows, fetching the archive if it is not on the disk.

        Raises: as `ArchiveFiles.fetch` and `scan_archive`.
        Cancellation: a checkpoint while it is fetched; else after the batch.
        """
        while self._rows is None and not self.is_done:
            if self._scanning is None:
                file = await self._shelf.fetch(self)
                self._scanning = _Scanning(
                    file, scan_archive(file, self.archive, self._selection, self._start)
                )
            batch = await self._shelf.files.run(self._scanning.read_next)
            if batch is None:
                self.is_done = True
                self.rows_scanned = self.archive.row_count or 0
                self._shelf.remove(self)
            else:
                self._keep(batch)

    def _keep(self, batch: ScannedRows) -> None:
        self.rows_scanned = self._start = batch.scanned
        if not batch.rows.num_rows:
            return
        rows = SortedRows(self._selection.table, batch.rows)
        rows.take_before(self._after)
        if not rows.is_empty:
            self._bound = rows.last_key
            self._rows, self._latest = rows, batch

    def leave(self) -> None:
        """Let go of the file and of most that was read ahead; `load` fetches it again."""
        if self._rows is not None and self._latest is not None:
            ahead = self._rows.start
            # Rows that came late are few in each of many archives: these are not fetched for each.
            head = self._rows.copy_head(most_rows=_KEPT_ROWS, most_bytes=_KEPT_BYTES)
            behind = ahead + head.num_rows
            if behind < self._latest.rows.num_rows:
                self._start = self._latest.places[behind].as_py()
            self._rows = SortedRows(self._selection.table, head)
            self._bound = self._rows.last_key
        self._latest = None
        if self._scanning is not None:
            self._scanning.file.close()
            self._scanning = None


class Shelf:
    """The archives of one read that are on the disk: those whose rows are wanted next."""

    def __init__(
        self, files: ArchiveFiles, *, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES
    ) -> None:
        self.files = files
        self._most_files = most_files
        self._most_bytes = most_bytes
        self._held: list[ArchiveCursor] = []
        self._seen: set[str] = set()
        self._fetches = 0

    async def fetch(self, cursor: ArchiveCursor) -> IO[bytes]:
        """Fetch a cursor's archive, after making room for it.

        Raises:
          ResourceExhaustedError: archives push each other out, again and again.
          Others, cancellation: as `ArchiveFiles.fetch`.
        """
        self._seen.add(cursor.archive.archive_id)
        self._fetches += 1
        # An archive with a few rows that came late is fetched for them, and again for the others.
        if self._fetches > _MOST_FETCHES_EACH * max(len(self._seen), self._most_files):
            raise ResourceExhaustedError(
                f"more archives of {cursor.archive.table_name} have rows of the same time than are "
                "read at once; ask for less time"
            )
        while self._held and not self._has_room(cursor):
            furthest = max(self._held, key=lambda held: held.next_key)
            self.remove(furthest)
        file = await self.files.fetch(cursor.archive)
        self._held.append(cursor)
        return file

    def remove(self, cursor: ArchiveCursor) -> None:
        """Take an archive off the disk."""
        self._held.remove(cursor)
        cursor.leave()

    def clear(self) -> None:
        """Take all archives off the disk."""
        while self._held:
            self.remove(self._held[-1])

    def _has_room(self, cursor: ArchiveCursor) -> bool:
        size_bytes = sum(held.archive.size_bytes or 0 for held in (*self._held, cursor))
        return len(self._held) < self._most_files and size_bytes <= self._most_bytes
