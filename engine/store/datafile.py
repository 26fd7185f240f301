"""Opening the data file: one process at a time, no reach beyond the file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from engine.errors import DataFileFailedError, DataFileLockedError
from engine.store.settings import StoreSettings


@contextmanager
def lock_data_file(path: Path) -> Iterator[None]:
    """Keep every other process of Trellis from the data file until the block ends.

    Raises:
      DataFileLockedError: another process holds it; the message names that process.
      DataFileFailedError: the folder or the lock cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataFileFailedError(
            f"cannot make the folder {path.parent}: {error.strerror}; choose another with --data"
        ) from error
    with _hold_lock(path.with_name(path.name + ".lock"), path):
        yield


@contextmanager
def hold_data_file(settings: StoreSettings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Lock the data file for this process, open it and close it at the end.

    Raises:
      DataFileLockedError: another process holds it; the message names that process.
      DataFileFailedError: the file cannot be created or read, or is not a DuckDB file.
    """
    with lock_data_file(settings.path):
        connection = connect_data_file(settings)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def _hold_lock(lock_path: Path, data_path: Path) -> Iterator[None]:
    # Our own lock beside DuckDB's: it is held before the file is touched, and tells who holds it.
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataFileFailedError(f"cannot open {lock_path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DataFileLockedError(
                f"{data_path} is in use by process {holder}; stop that engine first, "
                "or give this one a folder of its own with --data"
            ) from None
        except OSError as error:
            raise DataFileFailedError(f"cannot lock {lock_path}: {error.strerror}") from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise DataFileFailedError(f"cannot write {lock_path}: {error.strerror}") from error
        # The file stays: removing it would let a third process lock a new file of the same name
        # while a second one still waits on the old one.
        yield
    finally:
        os.close(descriptor)


def connect_data_file(settings: StoreSettings) -> duckdb.DuckDBPyConnection:
    """Open the data file, or make it, for who holds its lock.

    Raises: DataFileLockedError, DataFileFailedError, as `hold_data_file`.
    """
    try:
        connection = duckdb.connect(
            str(settings.path),
            config={
                "memory_limit": f"{settings.memory_limit_bytes // 1024**2}MiB",
                "threads": settings.threads,
                # The checkpoint policy decides when; see engine.store.checkpoint.
                "checkpoint_threshold": "1TB",
                # What is freed goes back to the system within seconds; otherwise hundreds of
                # megabytes stay, of which DuckDB's own accounts know nothing.
                "allocator_background_threads": True,
                # Least privilege: SQL cannot read or write other files, nor fetch extensions.
                "enable_external_access": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
            },
        )
    except duckdb.Error as error:
        text = str(error)
        if "Conflicting lock" in text:
            raise DataFileLockedError(
                f"{settings.path} is open in another program: {_first_line(text)}"
            ) from error
        raise cannot_open(settings.path, error) from error
    with suppress(FileNotFoundError):
        settings.path.chmod(0o600)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def cannot_open(path: Path, error: duckdb.Error) -> DataFileFailedError:
    """Return what to raise where DuckDB cannot read what every use of the file begins with."""
    text = str(error)
    return DataFileFailedError(f"cannot open {path}: {_first_line(text)}; {_say_what_to_do(text)}")


def _say_what_to_do(text: str) -> str:
    if "WAL" in text:
        return (
            "its write-ahead log is damaged; keep both files as they are, and restore a backup, or "
            "cut the log there as docs/runbook.md says (Engine down)"
        )
    # Not that the file be moved away: DuckDB deletes the log of a file that is not there.
    return "if it is damaged, restore a backup, or start empty in another folder with --data"


def _first_line(text: str) -> str:
    return text.strip().split("\n", maxsplit=1)[0]
