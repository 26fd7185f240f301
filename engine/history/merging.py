"""Rows of many sorted sources as one sorted stream, in memory for a batch of each."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import pyarrow as pa

from engine.history.cursors import Cursor
from engine.history.sorted_rows import sort_together
from engine.history.tables import HistoryTable


class Merge:
    """Takes from all cursors what can be taken before any that is not loaded yet is needed.

    Rows are compared where batches meet, not one by one: while only one source has rows of a time,
    its batches pass as they are.
    """

    def __init__(
        self,
        table: HistoryTable,
        run: Callable[[Callable[[], pa.RecordBatch]], Awaitable[pa.RecordBatch]],
    ) -> None:
        """Make it.

        Args:
          run: runs a call that computes for milliseconds, in a thread.
        """
        self._table = table
        self._run = run
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

        Raises: as the cursors' `load`.
        Cancellation: as `load`, and after a sort; what was taken by then is lost.
        """
        while self._cursors:
            # Of equal ones, one that is to be loaded: it may have rows of that very key.
            first = min(self._cursors, key=lambda cursor: (cursor.next_key, cursor.is_loaded))
            if first.is_loaded:
                parts = self._take()
                if len(parts) == 1:
                    return parts[0]
                return await self._run(partial(sort_together, self._table, parts))
            await first.load()
            if first.is_done:
                self._cursors.remove(first)
                self._scanned_before += first.rows_scanned
        return None

    def _take(self) -> list[pa.RecordBatch]:
        limit = min(cursor.end_key for cursor in self._cursors)
        return [rows for cursor in self._cursors if (rows := cursor.take_before(limit))]
