"""Rows of a selection that are in the data file, a page at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import pyarrow as pa
import trio

from engine.clock import to_datetime, to_us
from engine.history.archives import QUERIES, Archive, read_archives
from engine.history.cursors import Cursor
from engine.history.selection import Selection
from engine.history.sorted_rows import Key, SortedRows
from engine.store import Reader

_FIRST_PAGE_ROWS: Final = 500
"""Of at most 64 KiB each, before it is known how much they have."""
_MOST_PAGE_ROWS: Final = 20_000
_PAGE_BYTES: Final = 4 * 2**20
_GROWTH: Final = 4

NoteArchives = Callable[[Sequence[Archive], Key], None]
"""Is told all archives of the selection that a page was read beside, and the key from which on the
rows of those that had not been there before are missing in the file."""


@attrs.frozen
class FileOutline:
    """What of a selection lies in the data file, and the archives there were at that commit."""

    row_count: int
    first_us: int
    last_us: int
    archives: Sequence[Archive]


class FileQueries:
    """Puts one query at a time to the data file, whose readers are there for answers first."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turn = trio.CapacityLimiter(1)

    async def fetch_with_archives(
        self, selection: Selection, sql: str, parameters: Mapping[str, Any]
    ) -> tuple[list[Archive], pa.Table]:
        """Return the archives of a selection and what a query finds, as of one commit.

        Raises: StoreError.
        Cancellation: the query is interrupted.
        """
        queries = [_stored_archives(selection), (sql, parameters)]
        async with self._turn:
            archives, found = await self._reader.fetch_snapshot(queries)
        return read_archives(tuple(row.values()) for row in archives.to_pylist()), found


async def fetch_outline(queries: FileQueries, selection: Selection) -> FileOutline:
    """Return how much of a selection is where.

    Raises: StoreError.
    """
    query = selection.query
    bounds = _bounds(selection, query.from_us, query.until_us)
    archives, outline = await queries.fetch_with_archives(
        selection,
        QUERIES[f"{selection.table.name}_outline"],
        {**bounds, **_filter(selection)},
    )
    [found] = outline.to_pylist()
    return FileOutline(
        found["row_count"],
        to_us(found["first_time"] or to_datetime(0)),
        to_us(found["last_time"] or to_datetime(0)),
        archives,
    )


class FileCursor(Cursor):
    """Reads slices of time that hold about a page, each in a transaction of its own.

    An open result would hold checkpoints off, and one transaction for all of it the space of what
    is deleted meanwhile. Retention moves rows from the file to an archive in one commit, and each
    page is read in one transaction with the list of archives: what is missing in the file from a
    page on is in an archive that was noted with that page.
    """

    def __init__(
        self,
        queries: FileQueries,
        selection: Selection,
        outline: FileOutline,
        note: NoteArchives,
    ) -> None:
        super().__init__((outline.first_us,))
        self._queries = queries
        self._selection = selection
        self._note = note
        self._from_us = outline.first_us
        self._until_us = outline.last_us + 1
        self._after: Key = ()  # what follows the time in the key of the last row, if of that time
        self._page_rows = _FIRST_PAGE_ROWS
        self._row_us = max(1.0, (self._until_us - self._from_us) / max(1, outline.row_count))

    async def load(self) -> None:
        """Load the next page.

        Raises: StoreError.
        Cancellation: the query is interrupted.
        """
        while self._rows is None and self._from_us < self._until_us:
            await self._load_slice()
        self.is_done = self._rows is None
        self._bound = self._position

    @property
    def _position(self) -> Key:
        return (self._from_us, *self._after, 0) if self._after else (self._from_us,)

    async def _load_slice(self) -> None:
        width_us = max(1, int(self._row_us * self._page_rows))
        until_us = min(self._until_us, self._from_us + width_us)
        page = await self._fetch("page", until_us, limit=self._page_rows + 1)
        if page.num_rows > self._page_rows:
            self._keep_first(_to_batch(page, self._selection))
            return
        self._from_us, self._after = until_us, ()
        if page.num_rows < self._page_rows / _GROWTH:
            self._row_us *= _GROWTH
        if page.num_rows:
            self._keep(_to_batch(page, self._selection))
        elif until_us < self._until_us:
            await self._skip()

    def _keep_first(self, page: pa.RecordBatch) -> None:
        """Keep the first rows of a slice that has more than a page."""
        self._row_us = max(1 / self._page_rows, self._row_us / 2)
        rows = SortedRows(self._selection.table, page)
        # Rows with one key are not torn apart: the next page begins behind a key.
        whole = rows.take_before(rows.last_key)
        if not whole.num_rows:
            self._page_rows *= 2
            return
        self._keep(whole)
        assert self._rows is not None
        self._from_us, *after = self._rows.last_key
        self._after = tuple(after)

    def _keep(self, rows: pa.RecordBatch) -> None:
        self._rows = SortedRows(self._selection.table, rows)
        self.rows_scanned += rows.num_rows
        fitting = int(_PAGE_BYTES / (rows.nbytes / rows.num_rows))
        self._page_rows = max(1, min(fitting, _MOST_PAGE_ROWS, self._page_rows * _GROWTH))

    async def _skip(self) -> None:
        """Move on to the next row there is, over any time without."""
        [found] = (await self._fetch("next_time", self._until_us)).to_pylist()
        next_time = found["next_time"]
        self._from_us = self._until_us if next_time is None else to_us(next_time)

    async def _fetch(self, query: str, until_us: int, **more: Any) -> pa.Table:
        parameters = {
            **_bounds(self._selection, self._from_us, until_us),
            **_filter(self._selection),
            **more,
        }
        table = self._selection.table
        if query == "page":
            rest = self._after or (None,) * (len(table.key) - 1)
            parameters |= {f"after_{place}": part for place, part in enumerate(rest, 1)}
        archives, found = await self._queries.fetch_with_archives(
            self._selection, QUERIES[f"{table.name}_{query}"], parameters
        )
        self._note(archives, self._position)
        return found


def _bounds(selection: Selection, from_us: int, until_us: int) -> Mapping[str, Any]:
    return {
        "from_time": to_datetime(from_us),
        "until_time": to_datetime(until_us),
        "commit_seq": selection.commit_seq,
    }


def _filter(selection: Selection) -> Mapping[str, Any]:
    return {"entity": selection.query.entity_key}


def _stored_archives(selection: Selection) -> tuple[str, Mapping[str, Any]]:
    return QUERIES["stored_archives"], {
        "table_name": selection.table.name,
        "from_time": to_datetime(selection.query.from_us),
        "until_time": to_datetime(selection.query.until_us),
    }


def _to_batch(page: pa.Table, selection: Selection) -> pa.RecordBatch:
    [batch] = page.cast(selection.table.schema).combine_chunks().to_batches()
    return batch
