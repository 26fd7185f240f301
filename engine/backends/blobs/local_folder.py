"""Blobs in a folder of this machine."""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.backends.blobs.disk import DiskThreads
from engine.backends.blobs.driver import BlobInfo, BlobPage, PutCondition
from engine.backends.blobs.errors import BlobCorruptError
from engine.backends.blobs.files import (
    BlobFiles,
    IncomingFile,
    StoredFile,
    list_names,
    read_info,
    remove,
)
from engine.backends.blobs.names import check_name
from engine.errors import InvalidArgumentError, NotFoundError

_BLOCK_BYTES = 2**20


class FolderDriver:
    """Keeps blobs in files; see `files` for how."""

    block_bytes = _BLOCK_BYTES

    def __init__(self, files: BlobFiles, timeout_s: float) -> None:
        self._files = files
        self._disk = DiskThreads(timeout_s)

    @asynccontextmanager
    async def open_upload(
        self, name: str, condition: PutCondition
    ) -> AsyncIterator["_FolderUpload"]:
        incoming = await self._disk.run(
            lambda: IncomingFile(self._files, name, condition),
            dispose=lambda unclaimed: unclaimed.borrowed.give_up(),
        )
        try:
            yield _FolderUpload(self._disk, incoming)
        finally:
            incoming.borrowed.give_up()

    async def open_download(self, name: str) -> "_FolderDownload":
        stored = await self._disk.run(
            lambda: StoredFile(self._files, name),
            dispose=lambda unclaimed: unclaimed.borrowed.give_up(),
        )
        return _FolderDownload(self._disk, stored)

    async def head(self, name: str) -> BlobInfo:
        return await self._disk.run(lambda: read_info(self._files, name))

    async def list_page(self, prefix: str, token: str | None, limit: int) -> BlobPage:
        return await self._disk.run(lambda: _read_page(self._files, prefix, token or "", limit))

    async def delete(self, name: str) -> None:
        await self._disk.run(lambda: remove(self._files, name))

    async def probe(self) -> str:
        """Return what there is to say of a folder that can be used.

        Raises:
          BackendUnavailableError: it is gone or cannot be written to.
        """
        await self._disk.run(lambda: _try_folders(self._files))
        return f"the folder {self._files.objects.parent}"


class _FolderUpload:
    def __init__(self, disk: DiskThreads, incoming: IncomingFile) -> None:
        self._disk = disk
        self._incoming = incoming

    async def write(self, block: bytes) -> None:
        await self._disk.run(lambda: self._incoming.write(block))

    async def commit(self, sha256: str, size_bytes: int) -> BlobInfo:
        return await self._disk.run(lambda: self._incoming.commit(sha256, size_bytes))


class _FolderDownload:
    def __init__(self, disk: DiskThreads, stored: StoredFile) -> None:
        self._disk = disk
        self._stored = stored

    @property
    def info(self) -> BlobInfo:
        return self._stored.info

    async def read(self, offset: int, size_bytes: int) -> bytes:
        return await self._disk.run(lambda: self._stored.read(offset, size_bytes))

    def close(self) -> None:
        self._stored.borrowed.give_up()


def _read_page(files: BlobFiles, prefix: str, after: str, limit: int) -> BlobPage:
    names = list_names(files, prefix, after)
    blobs = []
    for name in names[:limit]:
        try:
            blobs.append(read_info(files, check_name(name)))
        except (NotFoundError, BlobCorruptError, InvalidArgumentError):
            continue  # deleted since, or not ours
    return BlobPage(blobs, names[limit - 1] if len(names) > limit else None)


def _try_folders(files: BlobFiles) -> None:
    for folder in (files.objects, files.incoming):
        folder.stat()
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
