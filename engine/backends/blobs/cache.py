"""Artifacts on this machine's disk, fetched from the blob store once and verified at every reading.

What is here is served while the store is away. An artifact is asked for by its name in the store
and by its digest, which is how the files are kept: a name whose content has changed is not it.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from engine.backends.blobs.cache_files import (
    CacheFiles,
    FetchedFile,
    open_cache_files,
    read_verified,
    remove_files,
    scan,
    verify,
)
from engine.backends.blobs.cache_index import CacheEntry, CacheIndex
from engine.backends.blobs.disk import DiskThreads
from engine.backends.blobs.errors import BlobCorruptError
from engine.backends.blobs.names import check_name
from engine.backends.blobs.store import BlobStore
from engine.backends.folder import hold_folder, make_private_folder
from engine.config import BlobsConfig
from engine.errors import (
    BackendUnavailableError,
    FailedPreconditionError,
    InvalidArgumentError,
    TrellisError,
)
from engine.metrics import ARTIFACT_CACHE_BYTES, ARTIFACT_CACHE_READS, BLOB_CORRUPT

_MOST_FETCHES = 3  # for one reading: a disk that damages what it is given must not be fed for ever

T = TypeVar("T")


@attrs.frozen
class Artifact:
    """A verified file, which stays while the context it comes from lasts. Not to be written to."""

    path: Path
    sha256: str
    size_bytes: int


@attrs.define(eq=False)
class _Fetch:
    """One fetch under way, which others wait for."""

    ended: trio.Event = attrs.field(factory=trio.Event)
    error: TrellisError | None = None


class ArtifactCache:
    """Gets artifacts; made by `open_artifact_cache`. Used from the Trio thread, by many tasks."""

    def __init__(
        self, store: BlobStore, files: CacheFiles, index: CacheIndex, disk: DiskThreads
    ) -> None:
        self._store = store
        self._files = files
        self._index = index
        self._disk = disk
        self._fetches: dict[tuple[str, str], _Fetch] = {}

    @asynccontextmanager
    async def open(self, name: str, sha256: str) -> AsyncIterator[Artifact]:
        """Provide an artifact as a file that is not evicted while the block runs.

        Args:
          name: what the blob store calls it.
          sha256: of its content, in lower-case hexadecimal digits.
        Raises:
          NotFoundError: it is neither here nor in the store.
          BlobCorruptError: what the store has is damaged, or is another content than asked for.
          BackendUnavailableError: it is not here, and the store is away.
          BlobAccessError: it is not here, and the store refuses us.
          ResourceExhaustedError: it does not fit into the cache, or the disk is full.
        Cancellation: a checkpoint; a fetch that others wait for is begun anew by one of them.
        """

        async def check(entry: CacheEntry) -> CacheEntry | None:
            right = await self._disk.run(lambda: verify(self._files, entry))
            return entry if right else None

        entry, pinned = await self._get(name, sha256, check)
        try:
            yield Artifact(self._files.path_of(entry), sha256, entry.size_bytes)
        finally:
            pinned.pins -= 1

    async def get_bytes(self, name: str, sha256: str) -> bytes:
        """Return an artifact's content; the digest is that of the very bytes returned.

        Raises, Cancellation: as for `open`.
        """

        async def read(entry: CacheEntry) -> bytes | None:
            return await self._disk.run(lambda: read_verified(self._files, entry))

        content, pinned = await self._get(name, sha256, read)
        pinned.pins -= 1
        return content

    async def _get(
        self, name: str, sha256: str, read: Callable[[CacheEntry], Awaitable[T | None]]
    ) -> tuple[T, CacheEntry]:
        """Return what `read` makes of the entry, and the entry with a pin the caller takes off."""
        check_name(name)
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise InvalidArgumentError("sha256", "64 lower-case hexadecimal digits are needed")
        fetches = 0
        while True:
            entry = self._index.get(sha256)
            if entry is None:
                if fetches == _MOST_FETCHES:
                    raise BackendUnavailableError(
                        "blobs",
                        f"{name!r} was fetched {fetches} times and each time was gone or damaged "
                        f"when it was read from {self._files.artifacts}",
                    )
                fetches += 1
                await self._fetch_once(name, sha256)
                continue
            entry.pins += 1
            try:
                result = await read(entry)
            except BaseException:
                entry.pins -= 1
                raise
            if result is not None:
                ARTIFACT_CACHE_READS.labels("store" if fetches else "disk").inc()
                return result, entry
            entry.pins -= 1
            await self._discard(entry)

    async def _discard(self, entry: CacheEntry) -> None:
        """Forget a file that was damaged or removed behind our back."""
        if self._index.drop(entry):
            BLOB_CORRUPT.labels("cache").inc()
            self._update_gauge()
            await self._remove([entry])

    async def _fetch_once(self, name: str, sha256: str) -> None:
        """Fetch an artifact, or wait for the fetch under way. Afterwards look again."""
        under_way = self._fetches.get((name, sha256))
        if under_way is not None:
            await under_way.ended.wait()
            if under_way.error is not None:
                raise under_way.error
            return
        fetch = self._fetches[name, sha256] = _Fetch()
        try:
            await self._fetch(name, sha256)
        except TrellisError as error:
            # Also those who wait are told: one after the other they would wait for the same.
            fetch.error = error
            raise
        finally:
            del self._fetches[name, sha256]
            fetch.ended.set()

    async def _fetch(self, name: str, sha256: str) -> None:
        async with self._store.get(name) as blob:
            if blob.info.sha256 != sha256:
                BLOB_CORRUPT.labels("store").inc()
                raise BlobCorruptError(
                    name, f"its sha256 is {blob.info.sha256}, that of the artifact is {sha256}"
                )
            size_bytes = blob.info.size_bytes
            victims = self._index.reserve(size_bytes)
            try:
                await self._remove(victims)
                fetched = await self._disk.run(
                    lambda: FetchedFile(self._files, sha256),
                    dispose=lambda unclaimed: unclaimed.borrowed.give_up(),
                )
                try:
                    async for block in blob:
                        await self._disk.run(partial(fetched.write, block))
                    entry = await self._disk.run(
                        lambda: fetched.keep(size_bytes),
                        dispose=lambda unclaimed: remove_files(self._files, [unclaimed]),
                    )
                finally:
                    fetched.borrowed.give_up()
            finally:
                self._index.release(size_bytes)
        # No checkpoint from here until the caller has pinned it.
        replaced = self._index.add(entry)
        self._update_gauge()
        if replaced is not None and not replaced.pins:
            await self._remove([replaced])

    async def _remove(self, entries: list[CacheEntry]) -> None:
        # They are forgotten already: were this cut short, nothing would count them any more.
        if entries:
            with trio.CancelScope(shield=True):
                await self._disk.run(lambda: remove_files(self._files, entries))

    def _update_gauge(self) -> None:
        ARTIFACT_CACHE_BYTES.set(self._index.held_bytes)


@asynccontextmanager
async def open_artifact_cache(
    store: BlobStore, folder: Path, config: BlobsConfig
) -> AsyncIterator[ArtifactCache]:
    """Provide a cache of the store's artifacts in `folder`, of at most `config.cache_bytes`.

    What an earlier engine has left there is used again.

    Raises:
      FailedPreconditionError: the folder cannot be used, or another engine uses it.
    """
    folder = make_private_folder(folder)
    async with hold_folder(folder):
        index = CacheIndex(config.cache_bytes)
        try:
            files = open_cache_files(folder)
            superseded = [old for entry in scan(files) if (old := index.add(entry)) is not None]
            remove_files(files, superseded + index.shrink())
        except OSError as error:
            raise FailedPreconditionError(
                f"cannot clean up {error.filename}: {error.strerror}; set paths.model_cache"
            ) from error
        ARTIFACT_CACHE_BYTES.set(index.held_bytes)
        yield ArtifactCache(store, files, index, DiskThreads(config.timeout_s))
