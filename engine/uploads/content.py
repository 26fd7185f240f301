"""A file's bytes on their way into the data file: hashed, counted and cut into parts."""

import hashlib
import logging
from collections.abc import AsyncIterator, Callable

import attrs
import trio

from engine.errors import TrellisError
from engine.records import Append, RequestWriter, Statement, WriteRequest
from engine.uploads.blocks import BLOCK_BYTES, encode_block
from engine.uploads.header import check_size

logger = logging.getLogger(__name__)

INLINE_BYTES = 1 << 20
"""A file up to this size is stored with its acceptance; larger ones in parts."""
_HASH_INLINE_BYTES = 1 << 16
"""Hashing this takes some 0.1 ms, about what handing it to a thread takes."""
_DISCARD_S = 10.0


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
    size_bytes = blocks = 0
    try:
        async for chunk in chunks:
            size_bytes += len(chunk)
            check_size(size_bytes, max_bytes)
            pending += chunk
            while len(pending) >= BLOCK_BYTES:
                block = bytes(memoryview(pending)[:BLOCK_BYTES])
                del pending[:BLOCK_BYTES]
                await _hash(hasher.update, block)
                await _write_block(writer, upload_id, blocks, block)
                blocks += 1
        rest = bytes(pending)
        await _hash(hasher.update, rest)
        if size_bytes <= INLINE_BYTES:
            return Content(size_bytes, hasher.hexdigest(), rest)
        if rest:
            await _write_block(writer, upload_id, blocks, rest)
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


async def _write_block(writer: RequestWriter, upload_id: str, number: int, block: bytes) -> None:
    """Commit a block in parts."""
    data = await trio.to_thread.run_sync(encode_block, upload_id, number, block)
    await writer.submit(WriteRequest((Append("upload_parts", data),)))
