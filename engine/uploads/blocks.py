"""Blocks of a file as they are stored: in parts, compressed where that saves something. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

PART_BYTES: Final = 4 << 10
"""DuckDB decompresses 2,048 rows to read one of them: with parts of 1 MiB every part read took
75 ms and the whole file in memory, with these some 8 MiB."""
BLOCK_BYTES: Final = 4 << 20
"""Written by one commit, and read by one query; so much of a file is in memory at a time, besides
a chunk."""
PARTS_A_BLOCK: Final = BLOCK_BYTES // PART_BYTES
"""A compressed block takes fewer; their numbers go on with the next block's all the same."""

_MOST_OF_RAW: Final = 0.9
"""What saves less than a tenth, such as Parquet, is stored as it came."""
_LEVEL: Final = 1
"""Texts shrink to a sixth by it, in a third of the time that DuckDB takes for the same."""

PARTS_SCHEMA: Final = pa.schema(
    [
        pa.field("upload_id", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("content", pa.binary(), nullable=False),
        pa.field("raw_bytes", pa.int32()),
    ]
)


def encode_block(upload_id: str, number: int, block: bytes) -> pa.RecordBatch:
    """Return the rows of `PARTS_SCHEMA` that a block becomes.

    Args:
      number: of the block in the file, from 0.
      block: `BLOCK_BYTES`, or at the end of the file fewer; some.
    """
    stored = _codec().compress(block, asbytes=True)
    raw_bytes: int | None = len(block)
    if len(stored) > _MOST_OF_RAW * len(block):
        stored, raw_bytes = block, None
    count = -(-len(stored) // PART_BYTES)
    first = number * PARTS_A_BLOCK
    # The parts lie in the block as it is: only where they end is to be told.
    ends = np.append(np.arange(count, dtype=np.int32) * PART_BYTES, np.int32(len(stored)))
    return pa.RecordBatch.from_arrays(
        [
            pa.repeat(upload_id, count),
            pa.array(np.arange(first, first + count, dtype=np.int32)),
            pa.Array.from_buffers(
                pa.binary(), count, [None, pa.py_buffer(ends), pa.py_buffer(stored)]
            ),
            pa.array([raw_bytes] * count, pa.int32()),
        ],
        schema=PARTS_SCHEMA,
    )


def decode_block(parts: Sequence[bytes], raw_bytes: int | None) -> bytes:
    """Return the block that some parts, all of it, were made of.

    Raises:
      OSError: they are damaged.
    """
    stored = b"".join(parts)
    if raw_bytes is None:
        return stored
    return bytes(_codec().decompress(stored, raw_bytes, asbytes=True))


def _codec() -> pa.Codec:
    # One a call: two threads may be at it at a time.
    return pa.Codec("zstd", _LEVEL)
