"""Rows of many sorted sources as one sorted stream, in memory for a batch of each."""

from collections.abc import Iterable

import pyarrow as pa

from engine.history.cursors import Cursor
from engine.history.sorted_rows import sort_together
from engine.history.tables import HistoryTable


class Merge:
    """Takes from all cursors what can be taken before any that is not loaded yet is needed.

    Rows are compared where batches meet, not one by one: while only one source has rows of a time,
    its batches pass as they are.
    """

    def __init__(self, table: HistoryTable) -> None:
        self._table = table
        self._cursors: list[Cursor] = []
        self._scanned_before = 0

    def add(self, cursors: Iterable[Cursor]) -> None:
        """Read from more cursors, none of which has rows before those that were returned."""
        self._cursors.extend(cursors)

    @property
    def rows_scanned(self) -> int:
        """How many rows were looked at so far."""
        return self._scanned_before + sum(cursor.rows_scanned for cursor in self._cursors)

    async def next_rows(self) -> pa.RecordBatch | None:
        """Return the next rows, at least one; None after the last.

        Raises and cancellation: as the cursors' `load`.
        """
        while self._cursors:
            # Of equal ones, one that is to be loaded: it may have rows of that very key.
            first = min(self._cursors, key=lambda cursor: (cursor.next_key, cursor.is_loaded))
            if first.is_loaded:
                return self._take()
            await first.load()
            if first.is_done:
                self._cursors.remove(first)
                self._scanned_before += first.rows_scanned
        return None

    def _take(self) -> pa.RecordBatch:
        limit = min(cursor.end_key for cursor in self._cursors)
        parts = [rows for cursor in self._cursors if (rows := cursor.take_before(limit))]
        return sort_together(self._table, parts)
