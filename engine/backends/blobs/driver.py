"""What a kind of store must be able to do; `BlobStore` makes of it what the engine uses.

Names and conditions are checked by then, and digests computed. Every operation ends within the
driver's own time limit or raises `BackendUnavailableError`; blocking calls are its affair. What is
cancelled or timed out may still happen as a whole, never in part.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs


@attrs.frozen
class BlobInfo:
    """What is known of a stored blob.

    `etag` names this writing of it: writing the same content again gives another one.
    """

    name: str
    size_bytes: int
    sha256: str
    etag: str


@attrs.frozen
class PutCondition:
    """When a put may happen: always; only while there is none; only over the blob of an etag."""

    if_absent: bool = False
    if_etag: str | None = None


@attrs.frozen
class BlobPage:
    """A part of a listing, in the order of names. `next_token` leads to the rest, None ends it."""

    blobs: Sequence[BlobInfo]
    next_token: str | None


class Upload(Protocol):
    """A blob being written, unseen until it is committed."""

    async def write(self, block: bytes) -> None:
        """Add the next part, of at most the driver's `block_bytes`."""

    async def commit(self, sha256: str, size_bytes: int) -> BlobInfo:
        """Make it the blob of its name, at once and for good.

        Raises:
          BlobExistsError, BlobPreconditionError: the condition of the upload does not hold.
          BlobChangedError: another writer was faster; nothing was written.
        """


class Download(Protocol):
    """A blob being read: one version of it, whatever happens to the name meanwhile."""

    @property
    def info(self) -> BlobInfo:
        """What was found when it was opened."""

    async def read(self, offset: int, size_bytes: int) -> bytes:
        """Return a part, shorter only if the blob is.

        Raises:
          BlobChangedError: it was replaced or deleted, and the old version is gone.
        """

    def close(self) -> None:
        """Let go of it; never blocks."""


class BlobDriver(Protocol):
    """One kind of store."""

    @property
    def block_bytes(self) -> int:
        """In what parts content is best read and written."""

    def open_upload(
        self, name: str, condition: PutCondition
    ) -> AbstractAsyncContextManager[Upload]:
        """Begin a blob; on leaving without a commit nothing of it stays."""

    async def open_download(self, name: str) -> Download:
        """Begin reading a blob.

        Raises:
          NotFoundError: there is none of the name.
          BlobCorruptError: it has no digest, or its record is damaged.
        """

    async def head(self, name: str) -> BlobInfo:
        """Return what is known of a blob; raises as `open_download` does."""

    async def list_page(self, prefix: str, token: str | None, limit: int) -> BlobPage:
        """Return the first blobs whose names begin with `prefix`, or go on from a page's token.

        What was not written by a `BlobStore` is left out.
        """

    async def delete(self, name: str) -> None:
        """Delete a blob; that there is none is fine."""
