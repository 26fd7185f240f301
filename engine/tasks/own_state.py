"""Whether a worker is still fit for the next job."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class OwnState:
    """A worker's memory, descriptors, folders and children, against what they were at its start."""

    def __init__(self, scratch: Path, descriptors: Sequence[int]) -> None:
        """Remember what `descriptors` are of: those that a worker cannot be without."""
        self.scratch = scratch
        self._descriptors = {number: _identify(number) for number in descriptors}
        self._folders = self._identify_folders()

    def memory_bytes(self) -> int | None:
        """Return the resident memory of this process, None if a job has left no descriptor."""
        try:
            with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - every second
                return int(file.read().split()[1]) * _PAGE_BYTES
        except OSError:
            return None

    def reason_to_recycle(self, memory_soft_bytes: int | None) -> str | None:
        """Return why a fresh process would be better, None if it would not.

        Blocks for some microseconds.
        """
        for number, before in self._descriptors.items():
            if _identify(number) != before:
                return f"a job has closed descriptor {number}, which was the worker's"
        if self._identify_folders() != self._folders:
            return "a job has changed the working folder, or removed the worker's own"
        if _has_children():
            # What a job has forked, daemons included, falls to the worker, and ends with it.
            return "a job has left processes behind"
        if memory_soft_bytes is not None:
            used_bytes = self.memory_bytes()
            if used_bytes is not None and used_bytes > memory_soft_bytes:
                return f"{used_bytes >> 20} MiB of memory in use"
        return None

    def _identify_folders(self) -> tuple[tuple[int, int] | None, ...]:
        return _identify("."), _identify(self.scratch)


def _has_children() -> bool:
    """Return whether there is any child, living or not, which stays as it is."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _identify(file: int | str | Path) -> tuple[int, int] | None:
    """Return what tells a file from all others, None if there is none."""
    try:
        found = os.stat(file)  # noqa: PTH116 - descriptors, too
    except OSError:
        return None
    return found.st_dev, found.st_ino
