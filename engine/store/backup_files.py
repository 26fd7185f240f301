"""The files of a backup: made beside its place and moved there when whole, so none is half.

Nothing here opens a database; that is `engine.store.restoring`.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import attrs
import msgspec

from engine.errors import AlreadyExistsError, DataLossError, FailedPreconditionError

MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
_PIECE_BYTES: Final = 4 * 2**20
"""What is read, written and brought to the disk at a time: far more of it unwritten would hold up
the commits of an engine on the same disk."""

Progress = Callable[[int], None]
"""Told how many more bytes are done, between two pieces; what it raises ends the copy."""


class BackupFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file, by its path in the backup."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds. It is written last: without it a folder is no backup."""

    format: int
    created_at: datetime
    commit_seq: int
    files: tuple[BackupFile, ...]
    rows: dict[str, int]


class _Format(msgspec.Struct, frozen=True):
    """What manifests of all formats have in common."""

    format: int


@attrs.frozen
class Draft:
    """A backup that is being made."""

    folder: Path

    def copy(self, source: Path, path: str, size_bytes: int, progress: Progress) -> BackupFile:
        """Copy the first `size_bytes` of a file into the draft.

        Raises:
          DataLossError: the file is shorter than that.
          OSError: it cannot be read, or the draft takes no more.
        """
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return BackupFile(path, size_bytes, copy_file(source, target, size_bytes, progress))

    def finish(
        self,
        created_at: datetime,
        commit_seq: int,
        files: tuple[BackupFile, ...],
        rows: dict[str, int],
    ) -> Manifest:
        """Write the manifest. Raises OSError."""
        manifest = Manifest(_FORMAT, created_at, commit_seq, files, rows)
        path = self.folder / MANIFEST
        path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        _sync(path)
        return manifest


@contextmanager
def make_backup_folder(target: Path) -> Iterator[Draft]:
    """Provide a draft that becomes the folder `target` when the block ends without an error.

    What an earlier attempt has left beside `target` when it was killed is not touched; its name
    begins with a dot and ends with what tells it from others.

    Raises:
      AlreadyExistsError: `target` exists and is not an empty folder.
      FailedPreconditionError: there is no folder to make it in.
      OSError: as the block, or the draft cannot be moved.
    """
    require_free(target)
    if not target.parent.is_dir():
        raise FailedPreconditionError(f"there is no folder {target.parent} to put it into")
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        yield Draft(folder)
        for path in (*(p for p in folder.rglob("*") if p.is_dir()), folder):
            _sync(path)
        # An empty folder is replaced; one that has been filled since is not.
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sync(target.parent)


def require_free(target: Path) -> None:
    """Refuse a folder that holds anything. Raises AlreadyExistsError."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise AlreadyExistsError(f"{target} exists and is no folder")
    if target.is_dir() and any(target.iterdir()):
        raise AlreadyExistsError(f"{target} is not empty; name a new folder")


def read_manifest(backup: Path) -> Manifest:
    """Return what a backup says of itself.

    Raises:
      DataLossError: it is no backup, or one of another version.
    """
    path = backup / MANIFEST
    try:
        content = path.read_bytes()
        # Of another format, the rest may look different.
        written = msgspec.json.decode(content, type=_Format).format
        if written != _FORMAT:
            raise DataLossError(
                f"{path} has format {written}, this program reads {_FORMAT}; restore it with the "
                "version of Trellis that made it"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        raise DataLossError(
            f"{backup} is no whole backup: {path.name} cannot be read ({error.strerror})"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataLossError(f"{path} is no manifest of a backup: {error}") from error
    for file in manifest.files:
        parts = Path(file.path).parts
        if not parts or Path(file.path).is_absolute() or ".." in parts:
            raise DataLossError(f"{path} names a file outside the backup: {file.path!r}")
    return manifest


def copy_checked(backup: Path, manifest: Manifest, target: Path, progress: Progress) -> None:
    """Copy all files of a backup, and check what was read against the manifest.

    Raises:
      DataLossError: a file is missing, too short, too long or not what was written.
      OSError: the target takes no more.
    """
    for file in manifest.files:
        source, copy = backup / file.path, target / file.path
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            size_bytes = source.stat().st_size
        except FileNotFoundError as error:
            raise DataLossError(f"{source} is missing from the backup") from error
        if size_bytes != file.size_bytes:
            raise DataLossError(f"{source} has {size_bytes:,} bytes, not {file.size_bytes:,}")
        if copy_file(source, copy, size_bytes, progress) != file.sha256:
            raise DataLossError(f"{source} is not what was written: its sha256 differs")


def copy_file(source: Path, target: Path, size_bytes: int, progress: Progress) -> str:
    """Copy the first `size_bytes` of a file to a new one; return their sha256.

    Raises:
      DataLossError: the source is shorter.
      OSError: one cannot be read, or the other takes no more.
    """
    digest = hashlib.sha256()
    left_bytes = size_bytes
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb", buffering=0) as reading, os.fdopen(descriptor, "wb") as writing:
        while left_bytes:
            piece = reading.read(min(_PIECE_BYTES, left_bytes))
            if not piece:
                raise DataLossError(f"{source} has ended {left_bytes:,} bytes too soon")
            digest.update(piece)
            writing.write(piece)
            writing.flush()
            os.fdatasync(writing.fileno())
            left_bytes -= len(piece)
            progress(len(piece))
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Some file systems have nothing to say about folders.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
