"""Parquet: rows of a columnar file, read from a copy, since its index stands at its end.

What such a file says of itself is not trusted: a kilobyte can claim billions of rows, and pages
that take gigabytes when they are decompressed. Rows are counted before they are read, texts stay
dictionaries until their rows are, and allocations have a ceiling.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from engine.intake.rejection import show
from engine.tasks.parsing.arrow_columns import (
    check_type,
    is_text,
    read_column,
    read_time_column,
    text_bytes,
)
from engine.tasks.parsing.batches import Batch
from engine.tasks.parsing.columns import ColumnReader
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.limits import (
    BATCH_ROWS,
    BATCH_TEXT_BYTES,
    BATCH_VALUES,
    MAX_ROW_BYTES,
    MAX_ROWS,
    MIB,
    PARQUET_MEMORY_BYTES,
)
from engine.tasks.parsing.memory import memory_ceiling
from engine.tasks.parsing.names import check_names
from engine.tasks.parsing.refusals import Problem, Reason, Refusal, RefusedFileError, Reject
from engine.tasks.parsing.times import TimeRules
from engine.tasks.parsing.unknown import UnknownColumns

_READ_AHEAD_BYTES = MIB
"""Of each column. Without it whole column chunks would be read at once."""

_FOOTER_STRING_BYTES = 16 * MIB
_FOOTER_ELEMENTS = 100_000
"""Of one list in the footer: columns, row groups."""


@contextlib.contextmanager
def spool(pieces: Iterable[bytes], scratch: Path) -> Iterator[IO[bytes]]:
    """Provide the pieces as a file that can be read in any order and has no name to leave behind.

    Raises:
      OSError: the disk is full, say; the file sent is not to blame.
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        for piece in pieces:
            file.write(piece)
        file.seek(0)
        yield file


def read_parquet(
    file: IO[bytes], dataset: Dataset, rules: TimeRules, unknown: UnknownColumns
) -> Iterator[Batch]:
    """Yield the rows of a Parquet file.

    Raises:
      RefusedFileError: it is damaged, too large, or its columns are not those of the dataset.
    """
    with _refusing_damage():
        parquet = _open(file, dataset, unknown)
        names = [name for name in dataset.names if name in parquet.schema_arrow.names]
        batch_rows = max(1, min(BATCH_ROWS, BATCH_VALUES // len(names)))
        batches = parquet.iter_batches(batch_size=batch_rows, columns=names, use_threads=False)
    table = _Table(dataset, rules)
    said, found = parquet.metadata.num_rows, 0
    while True:
        with _refusing_damage():
            batch = next(batches, None)
            if batch is None:
                break
            # In here: indices into a damaged dictionary may lie outside of it.
            sizes = _text_sizes(batch)
        for part, size_bytes in _cut(batch, sizes):
            yield table.read(found + 1, part, size_bytes)
            found += part.num_rows
        if found > said:
            break
    # Arrow leaves out, without an error, what a footer does not describe as it should.
    if found != said:
        raise _damaged(f"its footer says that it has {said} rows, but {found} are found")


def _open(file: IO[bytes], dataset: Dataset, unknown: UnknownColumns) -> Any:
    options: dict[str, Any] = {
        "pre_buffer": False,
        "buffer_size": _READ_AHEAD_BYTES,
        "arrow_extensions_enabled": False,
        "coerce_int96_timestamp_unit": "us",
        "thrift_string_size_limit": _FOOTER_STRING_BYTES,
        "thrift_container_size_limit": _FOOTER_ELEMENTS,
    }
    parquet = pq.ParquetFile(file, **options)
    if parquet.metadata.num_rows > MAX_ROWS:
        raise RefusedFileError(
            Refusal.TOO_MANY_ROWS,
            f"the file has {parquet.metadata.num_rows} rows, allowed are {MAX_ROWS}",
        )
    schema = parquet.schema_arrow
    check_names(schema.names, dataset, unknown)
    types = {dataset.entity_key: "int64", dataset.time_column: "time", **dict(dataset.columns)}
    present = {name: schema.field(name).type for name in types if name in schema.names}
    for name, type_ in present.items():
        check_type(name, types[name], type_)
    texts = [name for name, type_ in present.items() if is_text(type_)]
    return pq.ParquetFile(file, metadata=parquet.metadata, read_dictionary=texts, **options)


@contextlib.contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        with memory_ceiling(PARQUET_MEMORY_BYTES):
            yield
    except MemoryError:
        raise RefusedFileError(
            Refusal.TOO_LARGE,
            f"reading the file takes more than {PARQUET_MEMORY_BYTES // MIB} MiB of memory; write "
            "smaller pages and row groups",
        ) from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _damaged(show(str(error))) from None


def _damaged(how: str) -> RefusedFileError:
    return RefusedFileError(Refusal.MALFORMED_PARQUET, f"the file is damaged, or no Parquet: {how}")


def _text_sizes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return how many bytes the texts of each row take."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        sizes += text_bytes(column)
    return sizes


def _cut(
    batch: pa.RecordBatch, sizes: npt.NDArray[np.int64]
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the batch in parts with a bounded amount of text, and how much that is in bytes."""
    ends = np.cumsum(sizes)
    start, before = 0, 0
    while start < batch.num_rows:
        fitting = int(np.searchsorted(ends, before + BATCH_TEXT_BYTES, side="right"))
        end = max(fitting, start + 1)
        after = int(ends[end - 1])
        yield batch.slice(start, end - start), after - before
        start, before = end, after


class _Table:
    def __init__(self, dataset: Dataset, rules: TimeRules) -> None:
        self._dataset = dataset
        self._rules = rules
        self._reader = ColumnReader(dataset)

    def read(self, first_number: int, batch: pa.RecordBatch, text_size_bytes: int) -> Batch:
        rejects: tuple[Reject, ...] = ()
        if text_size_bytes > BATCH_TEXT_BYTES:
            # A row of such a size stands alone and is not looked at further.
            detail = f"the row's texts take {text_size_bytes} bytes, allowed are {MAX_ROW_BYTES}"
            rejects = (Reject.of(first_number, "", Problem(Reason.ROW_TOO_LARGE, detail)),)
            batch = batch.slice(0, 0)
        arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns = {
            name: read_column(arrays[name], type_)
            for name, type_ in self._dataset.columns
            if name in arrays
        }
        return self._reader.read(
            range(first_number, first_number + batch.num_rows),
            read_column(arrays[self._dataset.entity_key], "int64"),
            read_time_column(arrays[self._dataset.time_column], self._rules),
            columns,
            rejects,
        )
