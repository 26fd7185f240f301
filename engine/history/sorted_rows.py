"""Rows in the order of their table's key."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.history.tables import HistoryTable

Key = tuple[Any, ...]
"""Values of the key's columns, the time in microseconds since 1970. Fewer values come before all
keys that begin with them."""


class SortedRows:
    """A batch of which rows are taken from the front, at least one left."""

    def __init__(self, table: HistoryTable, rows: pa.RecordBatch) -> None:
        assert rows.num_rows
        self._rows = rows
        self._key_columns = [_comparable(rows.column(name)) for name in table.key]
        self.start = 0

    @property
    def first_key(self) -> Key:
        """The key of the first row that is left."""
        return self._key_at(self.start)

    @property
    def last_key(self) -> Key:
        """The key of the last row."""
        return self._key_at(self._rows.num_rows - 1)

    @property
    def is_empty(self) -> bool:
        """Whether all was taken."""
        return self.start == len(self._rows)

    def take_before(self, limit: Key) -> pa.RecordBatch:
        """Take the rows whose key is less than `limit`, which may be none."""
        start = self.start
        self.start = bisect_left(range(self._rows.num_rows), limit, lo=start, key=self._key_at)
        return self._rows.slice(start, self.start - start)

    def copy_head(self, *, most_rows: int, most_bytes: int) -> pa.RecordBatch:
        """Return the first rows that are left, apart from the batch: at least one, and so many."""
        left = self._rows.slice(self.start)
        head = next(split_rows(left, most_rows=most_rows, most_bytes=most_bytes))
        return head.take(pa.array(range(head.num_rows)))

    def _key_at(self, row: int) -> Key:
        return tuple(column[row].as_py() for column in self._key_columns)


def is_sorted(table: HistoryTable, rows: pa.RecordBatch) -> bool:
    """Return whether each row's key is at least that of the row before it."""
    if rows.num_rows < 2:
        return True
    undecided: Any = None
    for name in table.key:
        column = rows.column(name)
        before, after = column[:-1], column[1:]
        falls, equal = pc.less(after, before), pc.equal(after, before)
        if undecided is not None:
            falls, equal = pc.and_(falls, undecided), pc.and_(equal, undecided)
        if pc.any(falls).as_py():
            return False
        undecided = equal
    return True


def sort_together(table: HistoryTable, parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return the rows of sorted parts, sorted; at least one part."""
    rows = pa.Table.from_batches(parts)
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in table.key])
    [batch] = rows.take(order).combine_chunks().to_batches()
    return batch


def split_rows(
    rows: pa.RecordBatch, *, most_rows: int, most_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Yield parts of a batch, of at most so many rows, and so many bytes of text.

    A row that has more is a part of its own.
    """
    sizes = _text_bytes(rows)
    start, size_bytes = 0, 0
    for row, row_bytes in enumerate(sizes):
        if row > start and (row - start == most_rows or size_bytes + row_bytes > most_bytes):
            yield rows.slice(start, row - start)
            start, size_bytes = row, 0
        size_bytes += row_bytes
    if start < rows.num_rows:
        yield rows.slice(start)


def _text_bytes(rows: pa.RecordBatch) -> list[int]:
    total: Any = pa.nulls(rows.num_rows, pa.int64()).fill_null(0)
    for column in rows.columns:
        if pa.types.is_string(column.type):
            total = pc.add(total, pc.binary_length(column).cast(pa.int64()).fill_null(0))
    sizes: list[int] = total.to_pylist()
    return sizes


def _comparable(column: pa.Array) -> pa.Array:
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
