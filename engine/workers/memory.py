"""How much memory a worker uses, with all that it has forked."""

import attrs

from engine.workers.proctable import (
    Identity,
    ProcessStat,
    descendants_of,
    read_pss_bytes,
    read_stat,
)


@attrs.frozen
class MemoryReading:
    """Memory of a process and its descendants, and who these are."""

    used_bytes: int
    descendants: frozenset[Identity]


def read_memory(pid: int, limit_bytes: int | None) -> MemoryReading | None:
    """Return what a process and its descendants use; None if the process is gone.

    Resident pages are counted for each process that has them, which is quick, and too much when
    processes that forked from each other share them. So before that is called too much, shared
    pages are counted in proportion, which takes the kernel some milliseconds a gigabyte.
    """
    root = read_stat(pid)
    if root is None or root.ended:
        return None
    below = [stat for child in descendants_of(pid) if (stat := read_stat(child)) is not None]
    used_bytes = root.rss_bytes + sum(stat.rss_bytes for stat in below)
    if below and limit_bytes is not None and used_bytes > limit_bytes:
        used_bytes = sum(_proportional_bytes(stat) for stat in [root, *below])
    return MemoryReading(used_bytes, frozenset(stat.identity for stat in below))


def _proportional_bytes(stat: ProcessStat) -> int:
    found = read_pss_bytes(stat.pid)
    return stat.rss_bytes if found is None else found
