"""A server's folder: private, held by one engine, and with a place for its socket."""

import errno
import fcntl
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from engine.errors import FailedPreconditionError

# The length of `sun_path` without its final NUL; on Linux it may be used to the last byte but one.
_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
_LOCK_NAME = "engine.lock"
_LOCK_WAIT_S = 3.0  # a killed engine's lock ends with its process, which may take a moment
_LOCK_POLL_S = 0.02


def make_private_folder(folder: Path) -> Path:
    """Make a folder that only this user can look into; return its absolute path.

    Raises:
      FailedPreconditionError: the name is taken by something else or somebody else.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not followed if it is a link: in a shared folder somebody could have laid it out.
        found = folder.lstat()
    except OSError as error:
        raise _refused("make the folder", folder, error) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FailedPreconditionError(
            f"{folder} exists but is not a folder of this user; remove or rename it"
        )
    try:
        folder.chmod(0o700)
    except OSError as error:
        raise _refused("close to others the folder", folder, error) from error
    return folder


def _refused(action: str, path: Path, error: OSError) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"cannot {action} {path}: {error.strerror}; choose another with --data"
    )


def place_socket(folder: Path, name: str) -> Path:
    """Return where to put a unix socket that belongs to `folder`.

    In the folder itself, or, when that path is longer than a socket's may be (107 bytes on Linux),
    in a private folder among the temporary files whose name follows from the folder's, so that the
    next engine finds there what a killed one may have left. That folder stays, empty, after use.

    Raises:
      FailedPreconditionError: the private folder's name is taken by somebody else.
    """
    direct = folder.absolute() / name
    if len(os.fsencode(direct)) <= _SOCKET_PATH_BYTES:
        return direct
    digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    return make_private_folder(Path(tempfile.gettempdir(), f"trellis-{digest}")) / name


@asynccontextmanager
async def hold_folder(folder: Path) -> AsyncIterator[None]:
    """Keep other engines out of a folder while the context lasts; the kernel ends it with us.

    Raises:
      FailedPreconditionError: another engine holds the folder, or it takes no lock file.
    Cancellation: a checkpoint while waiting; nothing is held then.
    """
    path = folder / _LOCK_NAME
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refused("open", path, error) from error
    try:
        deadline = trio.current_time() + _LOCK_WAIT_S
        while not _try_lock(fd, path):
            if trio.current_time() > deadline:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise FailedPreconditionError(
                    f"another engine (pid {holder}) uses {folder}; stop it or give this one "
                    "another data folder"
                )
            await trio.sleep(_LOCK_POLL_S)
        _name_holder(fd, path)
        yield
    finally:
        os.close(fd)


def _name_holder(fd: int, path: Path) -> None:
    # Only now: the holder's number must not be wiped before the lock is ours.
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
    except OSError as error:
        raise _refused("write", path, error) from error


def _try_lock(fd: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise _refused("lock", path, error) from error
    return True
