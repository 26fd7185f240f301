"""Rows as a Parquet file, which is read again before anything is deleted. Blocking calls."""

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import DataLossError

ROW_GROUP_ROWS: Final = 20_000
"""Rows that who reads a part of an archive has to decode together: all of them for one of an entity
that is asked for. Fewer take no less space, and more time when all are read."""


def encode_rows(rows: pa.Table, facts: Mapping[str, str]) -> bytes:
    """Return a Parquet file of rows, in their order and with their types, compressed by zstd.

    Args:
      facts: are kept in the file's footer, each key with `trellis.` before it.
    Raises:
      DataLossError: what the file holds is not the rows.
    """
    described = rows.replace_schema_metadata(
        {f"trellis.{key}": text for key, text in facts.items()}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(described, sink, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    content = sink.getvalue()
    found = pq.read_table(pa.BufferReader(content))
    if not _bits(found).equals(_bits(rows)):
        raise DataLossError(
            "rows written as Parquet are not what is read of them; nothing is moved"
        )
    return bytes(content)


def _bits(rows: pa.Table) -> pa.Table:
    """Return the rows with numbers as their bits, since NaN is equal to nothing."""
    return pa.table(
        [
            pa.chunked_array([chunk.view(pa.int64()) for chunk in column.chunks], pa.int64())
            if pa.types.is_float64(column.type)
            else column
            for column in rows.columns
        ],
        names=rows.column_names,
    )
