"""The folder of an agent, which has no data folder: a temporary one, held while the agent lives."""

import fcntl
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from engine.workers.marks import new_mark
from engine.workers.orphans import remove_folder, remove_orphans

logger = logging.getLogger(__name__)

_PREFIX: Final = "trellis-worker-"
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def open_agent_folder(parent: Path | None = None) -> Iterator[Path]:
    """Provide a folder of the agent's own; remove those of this user's agents that are gone.

    An agent holds a lock on its folder, which the kernel lifts when it ends, however it does.
    Processes that an agent has left are killed before its folder is removed. Blocks.

    Args:
      parent: where the folders are; None: where this system has temporary files.
    Raises:
      OSError: there is no place for a folder.
    """
    where = Path(tempfile.gettempdir()) if parent is None else parent
    remove_abandoned(where)
    folder, held = _make_folder(where)
    try:
        yield folder
    finally:
        remove_folder(folder)
        os.close(held)


def remove_abandoned(parent: Path) -> list[Path]:
    """Remove this user's folders that no agent holds; return them. Blocks."""
    removed = []
    for folder in sorted(parent.glob(f"{_PREFIX}*")):
        try:
            held = _hold_nowait(folder)
        except OSError as error:
            logger.info("passed over", extra={"folder": str(folder), "detail": str(error)})
            continue
        if held is None:
            continue
        try:
            # While it exists, as its processes are known by it.
            remove_orphans(new_mark(folder))
            remove_folder(folder)
        finally:
            os.close(held)
        removed.append(folder)
    if removed:
        logger.info("folders of agents that are gone removed", extra={"count": len(removed)})
    return removed


def _make_folder(parent: Path) -> tuple[Path, int]:
    """Return a new folder and the descriptor that holds it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Another agent that starts now may take it for abandoned before it is held. It removes it
        # then: so the lock is waited for, and there is nothing to hold.
        with suppress(FileNotFoundError):
            held = os.open(folder, _OPEN)
            fcntl.flock(held, fcntl.LOCK_EX)
            if _is_still(folder, held):
                return folder, held
            os.close(held)


def _hold_nowait(folder: Path) -> int | None:
    """Return the descriptor that holds a folder, None if it is held, gone or another user's.

    Raises:
      OSError: it cannot be looked at.
    """
    try:
        if folder.lstat().st_uid != os.geteuid():
            return None
        descriptor = os.open(folder, _OPEN)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(folder, descriptor):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_still(folder: Path, descriptor: int) -> bool:
    """Tell whether a folder is the one that is open, and not removed or another by now."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and os.path.samestat(found, os.fstat(descriptor))
