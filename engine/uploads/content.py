"""A file's bytes on their way into the data file: hashed, counted and cut into parts."""

import hashlib
import logging
from collections.abc import AsyncIterator, Callable

import attrs
import numpy as np
import pyarrow as pa
import trio

from engine.errors import TrellisError
from engine.records import Append, RequestWriter, Statement, WriteRequest
from engine.uploads.header import check_size

logger = logging.getLogger(__name__)

INLINE_BYTES = 1 << 20
"""A file up to this size is stored with its acceptance; larger ones in parts."""
PART_BYTES = 4 << 10
"""DuckDB decompresses 2,048 rows to read one of them: with parts of 1 MiB every part read took
75 ms and the whole file in memory, with these some 8 MiB."""
BLOCK_BYTES = 4 << 20
"""Written by one commit, and read by one query; so much of a file is in memory at a time, besides
a chunk."""
_HASH_INLINE_BYTES = 1 << 16
"""Hashing this takes some 0.1 ms, about what handing it to a thread takes."""
_DISCARD_S = 10.0

_PARTS_SCHEMA = pa.schema(
    [
        pa.field("upload_id", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("content", pa.binary(), nullable=False),
    ]
)


@attrs.frozen
class Content:
    """A file that has come whole. `inline` is None if it is in parts."""

    size_bytes: int
    sha256: str
    inline: bytes | None


async def receive_content(
    writer: RequestWriter, upload_id: str, chunks: AsyncIterator[bytes], *, max_bytes: int
) -> Content:
    """Take in a file's chunks.

    Raises:
      ResourceExhaustedError: it is larger than `max_bytes`.
      StoreError: its parts cannot be written.
    Cancellation: as for an error, what was written of it is deleted; see `discard_content`.
    """
    hasher = hashlib.sha256()
    pending = bytearray()
    size_bytes = parts = 0
    try:
        async for chunk in chunks:
            size_bytes += len(chunk)
            check_size(size_bytes, max_bytes)
            pending += chunk
            while len(pending) >= BLOCK_BYTES:
                block = bytes(memoryview(pending)[:BLOCK_BYTES])
                del pending[:BLOCK_BYTES]
                await _hash(hasher.update, block)
                parts = await _write_parts(writer, upload_id, parts, block)
        rest = bytes(pending)
        await _hash(hasher.update, rest)
        if size_bytes <= INLINE_BYTES:
            return Content(size_bytes, hasher.hexdigest(), rest)
        await _write_parts(writer, upload_id, parts, rest)
    except BaseException:
        if size_bytes > INLINE_BYTES:
            await discard_content(writer, upload_id)
        raise
    return Content(size_bytes, hasher.hexdigest(), None)


async def discard_content(writer: RequestWriter, upload_id: str) -> None:
    """Delete the parts of a file that is not taken, within a bounded time.

    What cannot be deleted now is deleted at the next start.
    Cancellation: shielded, for 10 s at most.
    """
    with trio.move_on_after(_DISCARD_S, shield=True) as scope:
        try:
            await writer.submit(
                WriteRequest((Statement("delete_upload_parts", {"upload_id": upload_id}),))
            )
        except TrellisError as error:
            logger.warning(
                "parts of an upload are left until the next start",
                extra={"upload_id": upload_id, "error": str(error)},
            )
    if scope.cancelled_caught:
        logger.warning(
            "parts of an upload are left until the next start", extra={"upload_id": upload_id}
        )


async def _hash(update: Callable[[bytes], None], block: bytes) -> None:
    if len(block) <= _HASH_INLINE_BYTES:
        update(block)
    else:
        await trio.to_thread.run_sync(update, block)


async def _write_parts(writer: RequestWriter, upload_id: str, first: int, block: bytes) -> int:
    """Commit a block in parts; return the number of the next part."""
    count = -(-len(block) // PART_BYTES)
    if count:
        numbers = np.arange(first, first + count, dtype=np.int32)
        # The parts lie in the block as it is: only where they end is to be told.
        ends = np.append(np.arange(count, dtype=np.int32) * PART_BYTES, np.int32(len(block)))
        parts = [None, pa.py_buffer(ends), pa.py_buffer(block)]
        arrays = [
            pa.repeat(upload_id, count),
            pa.array(numbers),
            pa.Array.from_buffers(pa.binary(), count, parts),
        ]
        data = pa.RecordBatch.from_arrays(arrays, schema=_PARTS_SCHEMA)
        await writer.submit(WriteRequest((Append("upload_parts", data),)))
    return first + count
