"""Jobs that take a moment, and whose runs are on record outside the engine."""

import fcntl
import os
import time
from pathlib import Path

from engine.tasks.context import JobContext


def run(job: JobContext) -> dict[str, int]:
    """Note `begins`, `ends` and, should another process be at the same job, `overlaps`."""
    folder = Path(job.payload["folder"])
    record = os.open(folder / "runs", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    # The kernel lets go of the lock when the process is gone, and not before.
    alone = os.open(folder / f"{job.job_id}.lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        _note(record, job, "begins")
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _note(record, job, "overlaps")
        until_s = time.monotonic() + job.payload["seconds"]
        while time.monotonic() < until_s:
            job.advance()
            time.sleep(0.01)
        _note(record, job, "ends")
    finally:
        os.close(alone)
        os.close(record)
    return {"pid": os.getpid()}


def _note(record: int, job: JobContext, what: str) -> None:
    line = f"{job.job_id} {what} {job.attempt} {os.getpid()} {time.monotonic_ns()}\n"
    os.write(record, line.encode())
