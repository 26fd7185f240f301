"""The independent log of a campaign: what jobs did, whatever Trellis says of it.

One line of JSON an event, appended in one write by whoever sees it: a line that was written
survives any kill, of its writer too. Beside them stands a file for each job, from which an attempt
reads how many there were before it, and whether one of them still lives.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from engine.workers.proctable import read_stat

_EVENTS: Final = "events.ndjson"


@attrs.frozen
class Entry:
    """A line. `at_ns` is of the monotonic clock, which all processes of the machine share."""

    at_ns: int
    event: str
    """begin, fault, end, overlap."""
    pid: int
    start_ticks: int
    job_id: str
    attempt: int
    facts: dict[str, Any]


@attrs.frozen
class Attempt:
    """An attempt that has begun."""

    folder: Path
    """The log's."""
    job_id: str
    attempt: int
    number: int
    """How many of this job have begun, with this one."""

    def note(self, event: str, **facts: Any) -> None:
        """Append a line. Needs no descriptor to be open, and leaves none."""
        _append(self.folder / _EVENTS, _line(self, event, facts))


@contextmanager
def begun(folder: Path, job_id: str, attempt: int) -> Iterator[Attempt]:
    """Log the begin of an attempt, and its end if the block is left.

    An attempt that finds an earlier one of its job neither ended nor dead logs an `overlap`.
    """
    me = f"{os.getpid()} {_start_ticks(os.getpid())}"
    own = folder / "jobs" / job_id
    # First announced, then looked: of two that begin together, one at least sees the other.
    _append(own, f"begin {me}\n")
    lines = own.read_text().splitlines()
    this = Attempt(folder, job_id, attempt, sum(line.startswith("begin ") for line in lines))
    this.note("begin", number=this.number)
    for other in _unended(lines):
        if other != me and _lives(other):
            this.note("overlap", other=other)
    outcome = "left"
    try:
        yield this
        outcome = "returned"
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        this.note("end", outcome=outcome)
        _append(own, f"end {me}\n")


def read_log(folder: Path) -> list[Entry]:
    """Return all whole lines in the order of their times."""
    path = folder / _EVENTS
    entries = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            # Being written, or its writer was killed between two pages of the file; or the gap
            # before every line, which keeps such a piece apart.
            continue
        fixed = {name: found.pop(name) for name in ("at_ns", "event", "pid", "start_ticks")}
        job_id, attempt = found.pop("job_id"), found.pop("attempt")
        entries.append(Entry(**fixed, job_id=job_id, attempt=attempt, facts=found))
    return sorted(entries, key=lambda entry: entry.at_ns)


def make_log(folder: Path) -> Path:
    """Make the folder of a log, and those above it; return it."""
    (folder / "jobs").mkdir(parents=True)
    return folder


def _line(attempt: Attempt, event: str, facts: dict[str, Any]) -> str:
    me = os.getpid()
    fixed = {
        "at_ns": time.monotonic_ns(),
        "event": event,
        "pid": me,
        "start_ticks": _start_ticks(me),
        "job_id": attempt.job_id,
        "attempt": attempt.attempt,
    }
    return "\n" + json.dumps({**fixed, **facts}) + "\n"


def _append(path: Path, line: str) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def _unended(lines: list[str]) -> set[str]:
    """Return the processes in which an attempt has begun and not ended."""
    open_in: dict[str, int] = {}
    for line in lines:
        event, _, who = line.partition(" ")
        open_in[who] = open_in.get(who, 0) + (1 if event == "begin" else -1)
    return {who for who, count in open_in.items() if count > 0}


def _lives(who: str) -> bool:
    pid, _, start_ticks = who.partition(" ")
    stat = read_stat(int(pid))
    return stat is not None and stat.start_ticks == int(start_ticks) and not stat.ended


def _start_ticks(pid: int) -> int:
    stat = read_stat(pid)
    assert stat is not None
    return stat.start_ticks
