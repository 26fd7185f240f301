"""The rows of an archive that belong to a selection: blocking, a batch at a time."""

from collections.abc import Iterator
from typing import IO, Any, Final

import attrs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.clock import to_datetime, to_us
from engine.errors import DataLossError
from engine.history.archives import Archive
from engine.history.selection import Selection
from engine.history.sorted_rows import Key, SortedRows, is_sorted

_BATCH_BYTES: Final = 4 * 2**20
_MOST_BATCH_ROWS: Final = 20_000
_LEAST_BATCH_ROWS: Final = 16
_BUFFER_BYTES: Final = 2**20


@attrs.frozen
class ScannedRows:
    """Rows of an archive, each with its place in the file.

    Attributes:
      rows: those that belong to the selection, which may be none.
      places: of these rows, counted from 0.
      scanned: how many rows of the file come before what is scanned next.
    """

    rows: pa.RecordBatch
    places: pa.Array
    scanned: int


def scan_archive(
    file: IO[bytes], archive: Archive, selection: Selection, start: int
) -> Iterator[ScannedRows]:
    """Yield the rows of a selection, in order, from a place in the file on.

    Groups of rows that hold none of it by their statistics, or no row of the entity, are left out,
    and of the others no more is in memory than a batch.

    Raises:
      DataLossError: the file is not what retention makes of a table.
    """
    try:
        yield from _Scan(file, archive, selection).read(start)
    except (pa.ArrowException, OSError) as error:
        raise DataLossError(f"{archive} cannot be read: {error}") from error


class _Scan:
    def __init__(self, file: IO[bytes], archive: Archive, selection: Selection) -> None:
        self._parquet = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES)
        self._archive = archive
        self._table = selection.table
        self._query = selection.query
        self._commit_seq = selection.commit_seq
        self._last_key: Key | None = None
        found, wanted = self._parquet.schema_arrow.names, self._table.schema.names
        if missing := [name for name in wanted if name not in found]:
            raise self._damaged(f"it has no column {', '.join(missing)}")
        rows = self._parquet.metadata.num_rows
        if rows != archive.row_count:
            raise self._damaged(f"it has {rows} rows, not {archive.row_count}")

    def read(self, start: int) -> Iterator[ScannedRows]:
        metadata = self._parquet.metadata
        first = 0
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            behind = first + group.num_rows
            if behind > start and self._may_hold(group) and self._holds_entity(number):
                yield from self._read_group(number, first, max(start, first))
            first = behind

    def _may_hold(self, group: pq.RowGroupMetaData) -> bool:
        lowest, highest = self._bounds_of(group, self._table.time)
        if lowest is not None and not (
            to_us(lowest) < self._query.until_us and to_us(highest) >= self._query.from_us
        ):
            return False
        key = self._query.entity_key
        if key is None:
            return True
        lowest, highest = self._bounds_of(group, self._table.entity)
        return lowest is None or bool(lowest <= key <= highest)

    def _holds_entity(self, number: int) -> bool:
        """Look through the one column that tells, a tenth of the work of reading them all."""
        key = self._query.entity_key
        if key is None:
            return True
        batches = self._parquet.iter_batches(
            batch_size=_MOST_BATCH_ROWS,
            row_groups=[number],
            columns=[self._table.entity],
            use_threads=False,
        )
        return any(pc.any(pc.equal(batch.column(0), key)).as_py() for batch in batches)

    def _bounds_of(self, group: pq.RowGroupMetaData, column: str) -> tuple[Any, Any]:
        statistics = group.column(self._parquet.schema.names.index(column)).statistics
        if statistics is None or not statistics.has_min_max:
            return None, None
        return statistics.min, statistics.max

    def _read_group(self, number: int, first: int, start: int) -> Iterator[ScannedRows]:
        group = self._parquet.metadata.row_group(number)
        row_bytes = max(1, group.total_byte_size // max(1, group.num_rows))
        batches = self._parquet.iter_batches(
            batch_size=max(_LEAST_BATCH_ROWS, min(_MOST_BATCH_ROWS, _BATCH_BYTES // row_bytes)),
            row_groups=[number],
            columns=self._table.schema.names,
            use_threads=False,  # the processors are the engine's first
        )
        for batch in batches:
            behind = first + batch.num_rows
            if behind > start:
                skipped = max(0, start - first)
                yield self._select(batch.slice(skipped), first + skipped)
            first = behind

    def _select(self, batch: pa.RecordBatch, first: int) -> ScannedRows:
        rows = self._conform(batch)
        self._check_order(rows)
        column = rows.column(self._table.time)
        wanted = pc.and_(
            pc.greater_equal(column, _time(self._query.from_us)),
            pc.less(column, _time(self._query.until_us)),
        )
        wanted = pc.and_(wanted, pc.less_equal(rows.column("commit_seq"), self._commit_seq))
        if self._query.entity_key is not None:
            of_entity = pc.equal(rows.column(self._table.entity), self._query.entity_key)
            wanted = pc.and_(wanted, of_entity)
        places = pa.array(range(first, first + rows.num_rows), pa.int64())
        return ScannedRows(rows.filter(wanted), places.filter(wanted), first + rows.num_rows)

    def _conform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the columns of the table, in its types."""
        for field in self._table.schema:
            if not field.nullable and batch.column(field.name).null_count:
                raise self._damaged(f"its column {field.name} lacks values")
        return batch.select(self._table.schema.names).cast(self._table.schema)

    def _check_order(self, rows: pa.RecordBatch) -> None:
        ends = SortedRows(self._table, rows)
        if not is_sorted(self._table, rows) or (self._last_key or ()) > ends.first_key:
            raise self._damaged(f"its rows are not in the order of {', '.join(self._table.key)}")
        self._last_key = ends.last_key

    def _damaged(self, reason: str) -> DataLossError:
        return DataLossError(f"{self._archive} is not what retention makes: {reason}")


def _time(time_us: int) -> pa.Scalar:
    return pa.scalar(to_datetime(time_us), pa.timestamp("us"))
