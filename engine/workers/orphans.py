"""What an engine that was killed has left: processes and folders."""

import contextlib
import logging
import os
import select
import shutil
import signal
import time
from pathlib import Path
from typing import Final

from engine.workers.marks import Mark, mark_of, marked_processes

logger = logging.getLogger(__name__)

_REMOVE_S: Final = 5.0


def remove_orphans(mark: Mark) -> list[int]:
    """Kill processes of earlier hosts of the folder that `mark` stands for; return their numbers.

    A host's processes die with it, but for what jobs have forked. Whatever does not carry the
    folder's mark is a stranger and left alone. Blocks for some milliseconds, and up to seconds
    when there are orphans.
    """
    removed: list[int] = []
    deadline_s = time.monotonic() + _REMOVE_S
    while time.monotonic() < deadline_s:
        found = [pid for pid, other in marked_processes() if _is_orphan(other, mark)]
        living = [pid for pid in found if _kill(pid, mark, deadline_s)]
        if not living:
            break
        removed += living
    if removed:
        logger.warning("orphans of an earlier engine killed", extra={"pids": removed})
    return removed


def remove_folders(root: Path) -> None:
    """Remove the workers' private folders of earlier hosts. Blocks."""
    with contextlib.suppress(FileNotFoundError):
        for folder in root.iterdir():
            remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a worker's private folder with all that is in it. Blocks."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning(
            "worker's folder cannot be removed",
            extra={"folder": str(folder), "detail": str(error)},
        )


def _is_orphan(other: Mark | None, ours: Mark) -> bool:
    return other is not None and other.folder == ours.folder and other.instance != ours.instance


def _kill(pid: int, mark: Mark, deadline_s: float) -> bool:
    """Kill a process if it is still the one that was found; return whether it was."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # The number may have been given to another before the descriptor was open, not since.
        if not _is_orphan(mark_of(pid), mark):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000)
    except ProcessLookupError:
        return False
    except PermissionError:
        logger.exception(
            "an orphan of an earlier engine belongs to another user", extra={"pid": pid}
        )
        return False
    finally:
        os.close(pidfd)
    return True
