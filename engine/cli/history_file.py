"""A Parquet file of rows that appears, or takes another's place, when it is complete."""

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.timestamp_pb2 import Timestamp

from engine.cli.history_text import Row, rows_of
from engine.errors import TrellisError
from engine.history import HISTORY_TABLES
from proto.trellis.v1.history_pb2 import ReadHistoryResponse

_GROUP_ROWS: Final = 50_000
_FIELD_OF: Final = {
    "properties": "properties_json",
    "inputs": "inputs_json",
    "probabilities": "probabilities_json",
}
"""Columns whose field of the message has another name."""


def write_parquet(path: Path, table: str, replies: Iterable[ReadHistoryResponse]) -> int:
    """Write rows with the columns of their table; return how many they are.

    Args:
      table: of which they are, as the data file calls it.
    Raises:
      TrellisError: the file cannot be written. Whatever is raised, what was at `path` still is.
    """
    schema = HISTORY_TABLES[table].schema
    count = 0
    try:
        with (
            _replacing(path) as draft,
            pq.ParquetWriter(draft, schema, compression="zstd") as writer,
        ):
            for group in _groups(replies):
                columns = [_column(field, group) for field in schema]
                writer.write_batch(pa.record_batch(columns, schema=schema))
                count += len(group)
    except OSError as error:
        raise TrellisError(f"{path} cannot be written: {error.strerror or error}") from error
    return count


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # Made by ourselves, so that nobody else reads what the data folder keeps from others.
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield draft
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _groups(replies: Iterable[ReadHistoryResponse]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for reply in replies:
        group += rows_of(reply)
        if len(group) >= _GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _column(field: pa.Field, rows: list[Row]) -> pa.Array:
    name = _FIELD_OF.get(field.name, field.name)
    if pa.types.is_timestamp(field.type):
        times: list[Timestamp] = [getattr(row, name) for row in rows]
        return pa.array([time.ToMicroseconds() for time in times], pa.int64()).cast(field.type)
    read = _READ[field.nullable]
    return pa.array([read(row, name) for row in rows], field.type)


def _read_optional(row: Row, name: str) -> Any:
    return getattr(row, name) if row.HasField(name) else None


_READ: Mapping[bool, Callable[[Row, str], Any]] = {False: getattr, True: _read_optional}
