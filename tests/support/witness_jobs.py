"""Jobs whose runs are on record outside the engine, and end when the test says so."""

import fcntl
import os
import time
from pathlib import Path


def witness(job):
    """Note beginning and end in `<folder>/journal`; in between, wait for `<folder>/release`.

    Or for `<folder>/release-PID`, which is for the process of that number alone.

    Says so in the journal if the same job is being run by another process at the same time.
    """
    folder = Path(job.payload["folder"])
    journal = os.open(folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what):
        os.write(journal, f"{job.job_id} {what} {os.getpid()}\n".encode())

    # The kernel lets go of the lock when the process is gone, and not before.
    alone = os.open(folder / f"{job.job_id}.lock", os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note("overlaps")
    note("begins")
    releases = folder / "release", folder / f"release-{os.getpid()}"
    while not any(map(Path.exists, releases)):
        job.advance()
        time.sleep(0.01)
    note("ends")
    os.close(alone)
    os.close(journal)
    return {"pid": os.getpid()}
