"""Copies of archives on this machine's disk, for as long as they are read.

The files have no name: whatever ends the engine, nothing of them stays.
"""

import errno
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeVar

import trio

from engine.backends.blobs import BlobCorruptError, BlobStore
from engine.errors import (
    BackendUnavailableError,
    DataLossError,
    NotFoundError,
    ResourceExhaustedError,
    TrellisError,
    UnavailableError,
)
from engine.history.archives import Archive

T = TypeVar("T")

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RETRY_AFTER_S: Final = 5.0


class ArchiveFiles:
    """Fetches archives into a folder, and runs what blocks in threads of its own."""

    def __init__(self, store: BlobStore, folder: Path, *, threads: int) -> None:
        self._store = store
        self._folder = folder
        self._limiter = trio.CapacityLimiter(threads)

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call that reads a file, or computes for milliseconds, in a thread.

        Cancellation: after the call.
        """
        return await trio.to_thread.run_sync(call, limiter=self._limiter)

    async def fetch(self, archive: Archive) -> IO[bytes]:
        """Return a file without a name with an archive's content, for the caller to close.

        Raises:
          DataLossError: the archive is missing, damaged, or not what retention has stored.
          UnavailableError: the blob store cannot be reached, or the disk fails.
          ResourceExhaustedError: the disk is full.
          BlobAccessError: the blob store refuses us.
        Cancellation: a checkpoint at every block; nothing stays.
        """
        try:
            file = await self.run(self._make_file)
        except OSError as error:
            raise self._explain(error, archive) from error
        try:
            await self._copy(archive, file)
        except OSError as error:
            file.close()
            raise self._explain(error, archive) from error
        except BaseException:
            file.close()
            raise
        return file

    def _make_file(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._folder)

    async def _copy(self, archive: Archive, file: IO[bytes]) -> None:
        try:
            async with self._store.get(archive.blob) as blob:
                found = blob.info.sha256
                if found != archive.sha256:
                    raise BlobCorruptError(
                        archive.blob, f"its sha256 is {found}, that of the archive {archive.sha256}"
                    )
                async for block in blob:
                    await self.run(partial(file.write, block))
            await self.run(file.flush)
        except NotFoundError as error:
            raise DataLossError(
                f"{archive} is missing in the blob store; put it back from a copy of the blobs"
            ) from error
        except BackendUnavailableError as error:
            raise UnavailableError(
                f"{archive} cannot be fetched: {error}", _RETRY_AFTER_S
            ) from error

    def _explain(self, error: OSError, archive: Archive) -> TrellisError:
        what = f"{archive} cannot be laid down in {self._folder}: {error.strerror}"
        return ResourceExhaustedError(what) if error.errno in _FULL else UnavailableError(what)
