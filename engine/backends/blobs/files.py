"""The folder's files: blocking calls, each of which leaves the old state or the new.

    engine.lock   held by the engine that uses the folder
    incoming/     what is being written; swept when the folder is opened
    objects/      one file a blob, content and footer; a slash in the name is a plus in the file's

Nothing reaches `objects` but by rename or link of a file that is complete and on the disk, and
nothing counts as stored before the folder itself is.
"""

import os
import secrets
import threading
from pathlib import Path

import attrs

from engine.backends.blobs.borrowed import Borrowed, GivenUpError
from engine.backends.blobs.driver import BlobInfo, PutCondition
from engine.backends.blobs.errors import (
    BlobCorruptError,
    BlobExistsError,
    BlobPreconditionError,
    blob_not_found,
)
from engine.backends.blobs.footer import FOOTER_BYTES, Footer, FooterError, decode_footer
from engine.backends.blobs.incoming import open_incoming
from engine.backends.folder import make_private_folder
from engine.errors import NotFoundError


@attrs.frozen
class BlobFiles:
    """The two folders, and the lock under which `objects` changes.

    One lock for all suffices: it is held for a rename, not for writing content. A thread that was
    left behind by its caller and hangs in there keeps later writers out, so that it cannot overtake
    them when it goes on.
    """

    objects: Path
    incoming: Path
    changing: threading.Lock = attrs.field(factory=threading.Lock, repr=False)

    def path_of(self, name: str) -> Path:
        return self.objects / name.replace("/", "+")


def open_blob_files(folder: Path) -> BlobFiles:
    """Make the folders where missing and remove what a killed engine was writing.

    The caller holds the folder, so nobody else is writing there.

    Raises:
      FailedPreconditionError: a folder cannot be made, or is somebody else's.
      OSError: a leftover cannot be removed.
    """
    return BlobFiles(make_private_folder(folder / "objects"), open_incoming(folder))


class IncomingFile:
    """A blob being written, in a file that is removed unless it is committed."""

    def __init__(self, files: BlobFiles, name: str, condition: PutCondition) -> None:
        """Make the file.

        Raises:
          OSError: the file cannot be made.
        """
        self._files = files
        self._name = name
        self._condition = condition
        self._etag = secrets.token_hex(16)
        self._path = files.incoming / self._etag
        self._fd = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=0o600
        )
        self.borrowed = Borrowed(self._dispose)

    def write(self, block: bytes) -> None:
        """Append a block.

        Raises:
          OSError: the disk is full or failing.
        """
        with self.borrowed.use():
            self._write_all(block)

    def _write_all(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._fd, view) :]

    def commit(self, sha256: str, size_bytes: int) -> BlobInfo:
        """Make the file the blob of its name, if the condition holds.

        Raises:
          BlobExistsError, BlobPreconditionError: the condition does not hold.
          GivenUpError: the caller had gone before anything was changed.
          OSError: the disk is full or failing.
        """
        with self.borrowed.use():
            self._write_all(Footer(sha256, size_bytes, self._etag).encode())
            os.fsync(self._fd)
            with self._files.changing:
                # A caller who has gone was told that nothing is certain, and may have put something
                # else since: come late, this must not take its place.
                if self.borrowed.given_up:
                    raise GivenUpError
                self._place()
                sync_folder(self._files.objects)
        return BlobInfo(self._name, size_bytes, sha256, self._etag)

    def _place(self) -> None:
        target = self._files.path_of(self._name)
        if self._condition.if_absent:
            try:
                os.link(self._path, target)
            except FileExistsError:
                raise BlobExistsError(self._name) from None
            return
        wanted = self._condition.if_etag
        if wanted is not None and current_etag(self._files, self._name) != wanted:
            raise BlobPreconditionError(self._name)
        self._path.replace(target)

    def _dispose(self) -> None:
        os.close(self._fd)
        self._path.unlink(missing_ok=True)


class StoredFile:
    """A blob open for reading; it stays readable when the name is replaced or deleted."""

    def __init__(self, files: BlobFiles, name: str) -> None:
        """Open the file and read its footer.

        Raises:
          NotFoundError: there is no blob of the name.
          BlobCorruptError: the footer is missing or wrong.
          OSError: the disk is failing.
        """
        try:
            self._fd = os.open(files.path_of(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # A disk that is not mounted has lost no blob: then this says that the folder is gone.
            files.objects.stat()
            raise blob_not_found(name) from None
        self.borrowed = Borrowed(self._dispose)
        try:
            file_bytes = os.fstat(self._fd).st_size
            tail = os.pread(self._fd, FOOTER_BYTES, max(0, file_bytes - FOOTER_BYTES))
            footer = decode_footer(tail, file_bytes)
        except FooterError as error:
            self.borrowed.give_up()
            raise BlobCorruptError(name, str(error)) from None
        except BaseException:
            self.borrowed.give_up()
            raise
        self.info = BlobInfo(name, footer.size_bytes, footer.sha256, footer.etag)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return a part of the content.

        Raises:
          OSError: the disk is failing.
        """
        with self.borrowed.use():
            return os.pread(self._fd, size_bytes, offset)

    def _dispose(self) -> None:
        os.close(self._fd)


def read_info(files: BlobFiles, name: str) -> BlobInfo:
    """Return what the footer of a blob's file says; raises as `StoredFile` does."""
    stored = StoredFile(files, name)
    stored.borrowed.give_up()
    return stored.info


def current_etag(files: BlobFiles, name: str) -> str | None:
    """Return the tag of what is there; None if nothing is, or nothing with a tag."""
    try:
        return read_info(files, name).etag
    except (NotFoundError, BlobCorruptError):
        return None


def list_names(files: BlobFiles, prefix: str, after: str) -> list[str]:
    """Return the names of what is there, in order, that begin with `prefix` and follow `after`."""
    with os.scandir(files.objects) as entries:
        names = [entry.name.replace("+", "/") for entry in entries]
    return sorted(name for name in names if name.startswith(prefix) and name > after)


def remove(files: BlobFiles, name: str) -> None:
    """Delete a blob's file; that there is none is fine.

    Raises:
      OSError: the disk is failing.
    """
    with files.changing:
        files.path_of(name).unlink(missing_ok=True)
        sync_folder(files.objects)


def sync_folder(folder: Path) -> None:
    """Return once the folder's entries are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
