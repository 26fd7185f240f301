"""The cache's files: blocking calls.

    engine.lock   held by the engine that uses the cache
    incoming/     what is being fetched; swept when the cache is opened
    artifacts/    one file an artifact, <sha256>-<id of the fetch>

Nothing is forced to the disk: every reading is verified, so a file that a crash has damaged is
found out and fetched again. The times of the files remember which were used last.
"""

import hashlib
import os
import re
import secrets
import time
from pathlib import Path

import attrs

from engine.backends.blobs.borrowed import Borrowed
from engine.backends.blobs.cache_index import CacheEntry
from engine.backends.blobs.incoming import open_incoming
from engine.backends.folder import make_private_folder

_FILE_NAME = re.compile(r"([0-9a-f]{64})-[0-9a-f]{16}")


@attrs.frozen
class CacheFiles:
    """The cache's folders."""

    artifacts: Path
    incoming: Path

    def path_of(self, entry: CacheEntry) -> Path:
        return self.artifacts / entry.file_name


def open_cache_files(folder: Path) -> CacheFiles:
    """Make the folders where missing and remove what a killed engine was fetching.

    Raises:
      FailedPreconditionError: a folder cannot be made, or is somebody else's.
      OSError: a leftover cannot be removed.
    """
    return CacheFiles(make_private_folder(folder / "artifacts"), open_incoming(folder))


def scan(files: CacheFiles) -> list[CacheEntry]:
    """Return what is there, least recently used first."""
    found: list[tuple[int, CacheEntry]] = []
    with os.scandir(files.artifacts) as listing:
        for item in listing:
            if matched := _FILE_NAME.fullmatch(item.name):
                status = item.stat()
                entry = CacheEntry(matched[1], item.name, status.st_size)
                found.append((status.st_mtime_ns, entry))
    return [entry for _, entry in sorted(found, key=lambda pair: (pair[0], pair[1].file_name))]


def read_verified(files: CacheFiles, entry: CacheEntry) -> bytes | None:
    """Return an artifact's content and note its use; None if it is gone or not what it was."""
    path = files.path_of(entry)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        return None
    _note_use(path)
    return content


def verify(files: CacheFiles, entry: CacheEntry) -> bool:
    """Return whether an artifact's file is what it was, and note its use."""
    path = files.path_of(entry)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return False
    if digest != entry.sha256:
        return False
    _note_use(path)
    return True


def _note_use(path: Path) -> None:
    # Not the file system's own idea of now, which stands still for milliseconds.
    now_ns = time.time_ns()
    try:
        os.utime(path, ns=(now_ns, now_ns))
    except FileNotFoundError:
        return  # removed by hand since; what was read is right all the same


def remove_files(files: CacheFiles, entries: list[CacheEntry]) -> None:
    """Remove artifacts; that one is gone already is fine."""
    for entry in entries:
        files.path_of(entry).unlink(missing_ok=True)


class FetchedFile:
    """An artifact being fetched, in a file that is removed unless it is kept."""

    def __init__(self, files: CacheFiles, sha256: str) -> None:
        """Make the file.

        Raises:
          OSError: it cannot be made.
        """
        self._files = files
        self._sha256 = sha256
        self._file_name = f"{sha256}-{secrets.token_hex(8)}"
        self._path = files.incoming / self._file_name
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=0o600)
        self._file = os.fdopen(fd, "wb")
        self.borrowed = Borrowed(self._dispose)

    def write(self, block: bytes) -> None:
        """Append a block."""
        with self.borrowed.use():
            self._file.write(block)

    def keep(self, size_bytes: int) -> CacheEntry:
        """Move the file among the artifacts."""
        with self.borrowed.use():
            self._file.flush()
            entry = CacheEntry(self._sha256, self._file_name, size_bytes)
            self._path.rename(self._files.path_of(entry))
        return entry

    def _dispose(self) -> None:
        try:
            self._file.close()  # which may find that the disk is full
        finally:
            self._path.unlink(missing_ok=True)
