"""Blocks of a file: what is read back is what was stored, however that was."""

import random

import pyarrow as pa
import pytest

from engine.uploads.blocks import (
    BLOCK_BYTES,
    PART_BYTES,
    PARTS_A_BLOCK,
    PARTS_SCHEMA,
    decode_block,
    encode_block,
)

NOISE = random.Random(7).randbytes(BLOCK_BYTES)
TEXT = b'{"user_id": 1, "plan": "free"}\n' * (BLOCK_BYTES // 31)


def read_back(rows: pa.RecordBatch) -> bytes:
    [raw_bytes] = set(rows["raw_bytes"].to_pylist())
    return decode_block(rows["content"].to_pylist(), raw_bytes)


@pytest.mark.parametrize("size_bytes", [1, PART_BYTES, PART_BYTES + 1, len(TEXT)])
@pytest.mark.parametrize("content", [NOISE, TEXT], ids=["noise", "text"])
def test_a_block_is_read_back_as_it_was(content: bytes, size_bytes: int) -> None:
    block = content[:size_bytes]
    rows = encode_block("u", 3, block)
    rows.validate(full=True)
    assert rows.schema == PARTS_SCHEMA
    first = 3 * PARTS_A_BLOCK
    assert rows["part"].to_pylist() == list(range(first, first + rows.num_rows))
    assert max(map(len, rows["content"].to_pylist())) <= PART_BYTES
    assert read_back(rows) == block


def test_a_block_that_compression_does_not_make_smaller_is_stored_as_it_is() -> None:
    rows = encode_block("u", 0, NOISE)
    assert rows.num_rows == PARTS_A_BLOCK
    assert rows["raw_bytes"].null_count == PARTS_A_BLOCK
    assert b"".join(rows["content"].to_pylist()) == NOISE
    assert encode_block("u", 0, TEXT).num_rows < PARTS_A_BLOCK / 100


def test_a_damaged_block_is_noticed() -> None:
    rows = encode_block("u", 0, TEXT)
    parts = rows["content"].to_pylist()
    with pytest.raises(OSError, match=r"(?i)zstd"):
        decode_block([bytes(len(parts[0])), *parts[1:]], len(TEXT))
