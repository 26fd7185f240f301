"""The blob store: named, immutable-once-written content, verified by its digest.

Whatever the driver, content streams both ways in blocks, is never visible half-written, and what
is read is what was written or an error.
"""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import trio

from engine.backends.blobs.blocks import BlockCutter
from engine.backends.blobs.driver import (
    BlobDriver,
    BlobInfo,
    Download,
    PutCondition,
    Upload,
)
from engine.backends.blobs.errors import BlobCorruptError
from engine.backends.blobs.names import check_name, check_prefix
from engine.errors import ResourceExhaustedError
from engine.metrics import BLOB_CORRUPT, BLOB_READ_BYTES, BLOB_WRITTEN_BYTES

_PAGE_BLOBS = 1_000
_HASHING = trio.CapacityLimiter(2)  # a block takes milliseconds, which the loop does not have


class BlobReader:
    """The content of one blob, to be iterated over once, in blocks.

    The last block is handed out only after the digest of the whole was found right, so that who has
    consumed everything has consumed what was written.
    """

    def __init__(self, download: Download, block_bytes: int) -> None:
        self._download = download
        self._block_bytes = block_bytes
        self._digest = hashlib.sha256()
        self._offset = 0
        self._ended = False

    @property
    def info(self) -> BlobInfo:
        return self._download.info

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next block.

        Raises:
          BlobCorruptError: the content is not what was written.
          BlobChangedError: the blob was replaced or deleted while it was read.
          BackendUnavailableError: the store went away for longer than its time limit.
        Cancellation: a checkpoint; the reader is of no more use then.
        """
        if self._ended:
            raise StopAsyncIteration
        left = self.info.size_bytes - self._offset
        block = b""
        if left:
            block = await self._download.read(self._offset, min(left, self._block_bytes))
            await trio.to_thread.run_sync(self._digest.update, block, limiter=_HASHING)
            if not block:
                raise self._corrupt(f"it ends after {self._offset} of {self.info.size_bytes} bytes")
        self._offset += len(block)
        BLOB_READ_BYTES.inc(len(block))
        if self._offset == self.info.size_bytes:
            self._ended = True
            found = self._digest.hexdigest()
            if found != self.info.sha256:
                raise self._corrupt(f"its sha256 is {found}, that of what was written differs")
        if not block:
            raise StopAsyncIteration
        return block

    def _corrupt(self, reason: str) -> BlobCorruptError:
        self._ended = True
        BLOB_CORRUPT.labels("store").inc()
        return BlobCorruptError(self.info.name, reason)


class BlobListing:
    """The blobs under a prefix, in the order of their names; iterates page by page."""

    def __init__(self, driver: BlobDriver, prefix: str, page_blobs: int) -> None:
        self._driver = driver
        self._prefix = prefix
        self._page_blobs = page_blobs
        self._page: list[BlobInfo] = []  # the rest of it, last first
        self._token: str | None = None
        self._asked = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BlobInfo:
        """Return the next; blobs written or deleted meanwhile may be seen or not.

        Raises:
          BackendUnavailableError: the store cannot be reached.
        """
        while not self._page and not (self._asked and self._token is None):
            page = await self._driver.list_page(self._prefix, self._token, self._page_blobs)
            self._page = [*reversed(page.blobs)]
            self._token = page.next_token
            self._asked = True
        if not self._page:
            raise StopAsyncIteration
        return self._page.pop()


class BlobStore:
    """Blobs by name. Used from the Trio thread, by any number of tasks at once.

    Every method may raise, besides what it names: `BackendUnavailableError` when the store does not
    answer within `blobs.timeout_s` (for each block, of those that stream), `BlobAccessError` when
    it refuses us, `InvalidArgumentError` for a name that none may have.
    """

    def __init__(self, driver: BlobDriver, *, page_blobs: int = _PAGE_BLOBS) -> None:
        self._driver = driver
        self._page_blobs = page_blobs

    async def put(
        self,
        name: str,
        content: bytes | AsyncIterable[bytes],
        *,
        if_absent: bool = False,
        if_etag: str | None = None,
    ) -> BlobInfo:
        """Store the content under a name, in place of what is there.

        Args:
          content: the bytes, or chunks of them of any size; what its iteration raises ends the put
            without an effect.
          if_absent: only if there is no blob of the name.
          if_etag: only if the blob of the name is the one with this etag.
        Raises:
          BlobExistsError: there is one, against `if_absent`.
          BlobPreconditionError: there is none or another one, against `if_etag`.
          BlobChangedError: another writer was faster; nothing was written.
          ResourceExhaustedError: the disk is full.
          ValueError: both conditions are given.
        Cancellation: a checkpoint at every block. Afterwards, as after BackendUnavailableError, the
          blob is the old one or the new one as a whole: ask `head`, or put again.
        """
        if if_absent and if_etag is not None:
            raise ValueError("a blob cannot be both absent and have an etag")
        condition = PutCondition(if_absent, if_etag)
        digest = hashlib.sha256()
        size_bytes = 0

        async def send(upload: Upload, block: bytes) -> None:
            nonlocal size_bytes
            await trio.to_thread.run_sync(digest.update, block, limiter=_HASHING)
            await upload.write(block)
            size_bytes += len(block)

        async with self._driver.open_upload(check_name(name), condition) as upload:
            block_bytes = self._driver.block_bytes
            if isinstance(content, bytes):
                for start in range(0, len(content), block_bytes):
                    await send(upload, content[start : start + block_bytes])
            else:
                cutter = BlockCutter(block_bytes)
                async for chunk in content:
                    for block in cutter.add(chunk):
                        await send(upload, block)
                if rest := cutter.finish():
                    await send(upload, rest)
            info = await upload.commit(digest.hexdigest(), size_bytes)
        BLOB_WRITTEN_BYTES.inc(size_bytes)
        return info

    @asynccontextmanager
    async def get(self, name: str) -> AsyncIterator[BlobReader]:
        """Open a blob for reading: `async with store.get(name) as blob: async for block in blob`.

        Raises:
          NotFoundError: there is none of the name.
          BlobCorruptError: it cannot be what was written; most of it is found out by reading.
        """
        download = await self._driver.open_download(check_name(name))
        try:
            yield BlobReader(download, self._driver.block_bytes)
        finally:
            download.close()

    async def get_bytes(self, name: str, max_bytes: int) -> bytes:
        """Return a blob's whole content, verified.

        Raises:
          NotFoundError, BlobCorruptError, BlobChangedError: as reading it in blocks does.
          ResourceExhaustedError: it is larger than `max_bytes`; nothing more was read.
        """
        async with self.get(name) as blob:
            if blob.info.size_bytes > max_bytes:
                raise ResourceExhaustedError(
                    f"the blob {name!r} has {blob.info.size_bytes} bytes, "
                    f"more than the {max_bytes} that are accepted"
                )
            return b"".join([block async for block in blob])

    async def head(self, name: str) -> BlobInfo:
        """Return what is known of a blob.

        Raises:
          NotFoundError: there is none of the name.
          BlobCorruptError: what is there was not written by a `BlobStore`, or is damaged.
        """
        return await self._driver.head(check_name(name))

    def list_blobs(self, prefix: str = "") -> BlobListing:
        """Return the blobs whose names begin with `prefix`, for `async for`, ordered by name.

        What was not written by a `BlobStore` is left out.
        """
        return BlobListing(self._driver, check_prefix(prefix), self._page_blobs)

    async def delete(self, name: str) -> None:
        """Delete a blob; that there is none is fine.

        Cancellation: a checkpoint; it may happen all the same.
        """
        await self._driver.delete(check_name(name))
