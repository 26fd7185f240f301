"""Reading the process table: who is whose child, in what state, and how large."""

import collections
import os
from collections.abc import Iterable
from typing import Final

import attrs

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MAX_DESCENDANTS: Final = 10_000  # a fork bomb must not hold up the engine that counts it
_READ_BYTES: Final = 65_536
_MAX_READS: Final = 64

_STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "D": "in an uninterruptible wait",
    "T": "stopped",
    "t": "stopped by a debugger",
    "Z": "dead but not reaped",
    "X": "dead",
    "I": "idle",
}


@attrs.frozen
class Identity:
    """A process for certain: its number may be given to another, but not with the same start."""

    pid: int
    start_ticks: int


@attrs.frozen
class ProcessStat:
    """A line of the process table. `state` is the kernel's letter."""

    pid: int
    state: str
    parent: int
    start_ticks: int
    rss_bytes: int

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.start_ticks)

    @property
    def stopped(self) -> bool:
        return self.state == "T"

    @property
    def ended(self) -> bool:
        return self.state in "ZX"

    def describe(self) -> str:
        """Return the state in words."""
        return _STATES.get(self.state, f"in state {self.state}")


def parse_stat(line: bytes) -> ProcessStat:
    """Return what `/proc/<pid>/stat` says.

    The command's name stands in parentheses and may hold any character, these two included.
    """
    number, rest = line.split(b" (", 1)
    fields = rest[rest.rindex(b")") + 2 :].split()
    return ProcessStat(
        pid=int(number),
        state=fields[0].decode("ascii"),
        parent=int(fields[1]),
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def read_stat(pid: int) -> ProcessStat | None:
    """Return what is known of a process, None if there is none of that number."""
    line = _read(f"/proc/{pid}/stat")
    return parse_stat(line) if line else None


def read_pss_bytes(pid: int) -> int | None:
    """Return a process' memory with shared pages shared out, which takes the kernel some time."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return None


def all_pids() -> list[int]:
    """Return the numbers of all processes that this one can see."""
    return _list_numbers("/proc")


def threads_of(pid: int) -> list[int]:
    """Return the numbers of a process' threads, none if it is gone."""
    try:
        return _list_numbers(f"/proc/{pid}/task")
    except OSError:
        return []


def children_of(pid: int) -> list[int]:
    """Return the children of a process, of all its threads, with those it has not reaped."""
    if not _KERNEL_LISTS_CHILDREN:
        return _children_by_search().get(pid, [])
    found: list[int] = []
    for thread in threads_of(pid):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants_of(pid: int) -> list[int]:
    """Return children, their children and so on, parents before their children."""
    found: list[int] = []
    seen = {pid}
    waiting = collections.deque([pid])
    table = None if _KERNEL_LISTS_CHILDREN else _children_by_search()
    while waiting and len(found) < _MAX_DESCENDANTS:
        parent = waiting.popleft()
        listed = children_of(parent) if table is None else table.get(parent, [])
        children = [child for child in listed if child not in seen]
        seen.update(children)
        found += children
        waiting += children
    return found


def identities_of(pids: Iterable[int]) -> frozenset[Identity]:
    """Return the identities of those that still run."""
    stats = (read_stat(pid) for pid in pids)
    return frozenset(stat.identity for stat in stats if stat is not None)


def _children_by_search() -> dict[int, list[int]]:
    table: dict[int, list[int]] = {}
    for pid in all_pids():
        if (stat := read_stat(pid)) is not None:
            table.setdefault(stat.parent, []).append(stat.pid)
    return table


def _list_numbers(folder: str) -> list[int]:
    return [int(name) for name in os.listdir(folder) if name.isdigit()]  # noqa: PTH208 - a hot path


def _read(path: str) -> bytes:
    """Return what a file says, nothing if it is gone, in this moment or long ago, or not ours."""
    parts: list[bytes] = []
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a hot path
            # The kernel hands out long lists in pages.
            while len(parts) < _MAX_READS and (part := file.read(_READ_BYTES)):
                parts.append(part)
    except OSError:
        return b""
    return b"".join(parts)


_KERNEL_LISTS_CHILDREN: Final = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110
