"""What jobs write about themselves, on the clock that all processes of a machine share.

Only the standard library: the peers' jobs write the same marks from an environment of their own.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """A job said something: `at_s` by CLOCK_MONOTONIC, in the process `pid`."""

    at_s: float
    pid: int
    event: str


def mark(log: str | Path, event: str) -> None:
    """Add a line to the job's log, in one write, so that lines of two processes never mix."""
    line = f"{time.monotonic_ns()} {os.getpid()} {event}\n".encode()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def read_marks(log: Path, event: str) -> list[Mark]:
    """Return the marks of one event so far, in order."""
    if not log.exists():
        return []
    marks = []
    for line in log.read_text().splitlines():
        at_ns, pid, found = line.split(" ")
        if found == event:
            marks.append(Mark(int(at_ns) / 1e9, int(pid), found))
    return marks


def wait_for_marks(
    log: Path, event: str, count: int, *, within_s: float, poll_s: float = 0.005
) -> list[Mark]:
    """Wait until an event was marked `count` times.

    Returns: all its marks; fewer than `count` if they did not come in time.
    """
    give_up_at_s = time.monotonic() + within_s
    while True:
        marks = read_marks(log, event)
        if len(marks) >= count or time.monotonic() > give_up_at_s:
            return marks
        time.sleep(poll_s)
