"""How much room the disks of the engine's folders still have, as gauges."""

import errno
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from engine import metrics

logger = logging.getLogger(__name__)

_INTERVAL_S: Final = 10.0


@attrs.frozen
class DiskSpace:
    """Of the file system that holds a folder, in bytes."""

    free_bytes: int
    """What an unprivileged process may still use."""
    size_bytes: int


def read_disk_space(folder: Path) -> DiskSpace:
    """Return the room on the disk of a folder, or of the nearest one above it that exists.

    Raises:
      OSError: the file system does not answer.
    """
    for candidate in (folder, *folder.absolute().parents):
        try:
            found = os.statvfs(candidate)
        except FileNotFoundError:
            continue  # folders are made when they are first needed
        return DiskSpace(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))


async def run_disk_watch(
    folders: Mapping[str, Path],
    *,
    interval_s: float = _INTERVAL_S,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep the gauges of the folders' disks up to date until cancelled.

    Args:
      folders: by the name that the gauges give them.
      interval_s: time between two looks.
      task_status: started once the gauges have been set, or could not be.
    Cancellation: also while a disk does not answer; its thread is left to end by itself.
    """
    failing: set[str] = set()
    while True:
        for name, folder in folders.items():
            try:
                # A network file system may hang, and is looked at in a thread for that.
                space = await trio.to_thread.run_sync(
                    read_disk_space, folder, abandon_on_cancel=True
                )
            except OSError as error:
                if name not in failing:
                    logger.warning(
                        "disk space unknown", extra={"folder": str(folder), "error": str(error)}
                    )
                failing.add(name)
                continue
            failing.discard(name)
            metrics.DISK_FREE_BYTES.labels(name).set(space.free_bytes)
            metrics.DISK_SIZE_BYTES.labels(name).set(space.size_bytes)
        task_status.started()
        task_status = trio.TASK_STATUS_IGNORED
        await trio.sleep(interval_s)
