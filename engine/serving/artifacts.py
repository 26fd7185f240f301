"""Parts of versions: into the blob store under their hash, out of it through the cache."""

import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Final

import trio

from engine import metrics
from engine.backends.blobs import (
    Artifact,
    ArtifactCache,
    BlobAccessError,
    BlobCorruptError,
    BlobExistsError,
    BlobStore,
)
from engine.errors import (
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from engine.models import BlobRef

_MOST_BYTES: Final = 512 << 20
_IN_MEMORY_BYTES: Final = 8 << 20
_CHUNK_BYTES: Final = 1 << 20
_DISK: Final = trio.CapacityLimiter(4)


class Artifacts:
    """Stores and reads parts of versions. Used from the Trio thread."""

    def __init__(self, store: BlobStore, cache: ArtifactCache) -> None:
        self._store = store
        self._cache = cache

    async def put(self, content: AsyncIterable[bytes]) -> BlobRef:
        """Store content under a name made of its hash; that it is there already is fine.

        It counts as stored once it was read back, into the cache, from where it can be had from
        then on while the store is away.

        Raises:
          InvalidArgumentError: there is none.
          ResourceExhaustedError: it is larger than an artifact may be, or than the cache.
          BackendUnavailableError, BlobAccessError: the store cannot take it.
          NotFoundError, DataLossError, UnavailableError: it cannot be read back.
        Cancellation: a checkpoint; it is stored as a whole or not at all.
        """
        digest = hashlib.sha256()
        size_bytes = 0
        # What it is called is known at its end only. Large ones wait for that on the disk.
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as file:
            async for chunk in content:
                size_bytes += len(chunk)
                if size_bytes > _MOST_BYTES:
                    raise ResourceExhaustedError(
                        f"an artifact has at most {_MOST_BYTES} bytes, this one has more"
                    )
                digest.update(chunk)
                await trio.to_thread.run_sync(file.write, chunk, limiter=_DISK)
            if not size_bytes:
                raise InvalidArgumentError("content", "is missing; an artifact has some")
            ref = BlobRef(f"models/{digest.hexdigest()}", digest.hexdigest(), size_bytes)
            try:
                await self._store.put(ref.name, _read(file), if_absent=True)
            except BlobExistsError:
                info = await self._store.head(ref.name)
                if (info.sha256, info.size_bytes) != (ref.sha256, size_bytes):
                    await self._store.put(ref.name, _read(file))
            try:
                await self._fetch(ref)
            except DataLossError:
                # What was there is spoilt, and would spoil each training that learns the same.
                await self._store.put(ref.name, _read(file))
                await self._fetch(ref)
        return ref

    async def read(self, ref: BlobRef) -> AsyncGenerator[bytes, None]:
        """Yield a part's content, verified, from the cache if it is there.

        Raises:
          NotFoundError: it is neither there nor in the store.
          DataLossError: it is not what was registered.
          UnavailableError: it is not there, and the store is away or refuses us.
        """
        async with self._open(ref) as artifact, await trio.open_file(artifact.path, "rb") as file:
            while chunk := await file.read(_CHUNK_BYTES):
                yield chunk

    async def _fetch(self, ref: BlobRef) -> None:
        async with self._open(ref):
            return

    @asynccontextmanager
    async def _open(self, ref: BlobRef) -> AsyncIterator[Artifact]:
        try:
            async with self._cache.open(ref.name, ref.sha256) as artifact:
                yield artifact
        except NotFoundError:
            metrics.ARTIFACTS_REFUSED.labels("artifact_missing").inc()
            raise
        except BlobCorruptError:
            metrics.ARTIFACTS_REFUSED.labels("artifact_corrupt").inc()
            raise
        except BlobAccessError as error:
            # For whoever waits it is the same as a store that is away: only an operator can help.
            raise UnavailableError(str(error)) from error


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    await trio.to_thread.run_sync(file.seek, 0, limiter=_DISK)
    while chunk := await trio.to_thread.run_sync(file.read, _CHUNK_BYTES, limiter=_DISK):
        yield chunk
