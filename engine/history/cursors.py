"""What a merge reads from: places with rows in order."""

from abc import ABC, abstractmethod

import pyarrow as pa

from engine.history.sorted_rows import Key, SortedRows


class Cursor(ABC):
    """A place in a sorted source of rows. Rows are loaded in batches and taken from the front."""

    def __init__(self, bound: Key) -> None:
        """Begin.

        Args:
          bound: no row comes before this key.
        """
        self._bound = bound  # of the rows that are not loaded
        self._rows: SortedRows | None = None
        self.is_done = False
        self.rows_scanned = 0

    @property
    def is_loaded(self) -> bool:
        """Whether there are rows to take."""
        return self._rows is not None

    @property
    def next_key(self) -> Key:
        """A key that no row to come is before; that of the next row, if one is loaded."""
        return self._bound if self._rows is None else self._rows.first_key

    @property
    def end_key(self) -> Key:
        """A key that all loaded rows are before; those that follow are not, or equal the last."""
        # Longer than a row's, and so behind all rows with the same.
        return self._bound if self._rows is None else (*self._rows.last_key, 0)

    @abstractmethod
    async def load(self) -> None:
        """Load the next rows; there are none loaded. Afterwards there are, or it is done."""

    def take_before(self, limit: Key) -> pa.RecordBatch | None:
        """Take the loaded rows whose key is less than `limit`; None if there are none."""
        if self._rows is None:
            return None
        taken = self._rows.take_before(limit)
        if self._rows.is_empty:
            self._rows = None
        return taken if taken.num_rows else None
