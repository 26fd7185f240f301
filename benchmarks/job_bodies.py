"""Handlers of the jobs that Trellis does in benchmarks. Each marks when it begins."""

import ctypes
import threading
import time
from pathlib import Path
from typing import NoReturn

from benchmarks.job_marks import mark
from engine.tasks.context import JobContext

HANDLERS = {
    "noop": "do_nothing",
    "gate": "wait_at_gate",
    "work": "work",
    "held_gil": "hold_gil_once",
    "deadlocked": "deadlock_once",
    "endless": "loop_once",
}


def job_types(**stall_s: float) -> str:
    """Return the setting that declares these jobs.

    Args:
      stall_s: stall limits of those types that do not keep the default, seconds.
    """
    types = []
    for name, function in HANDLERS.items():
        limit = f", stall_s: {stall_s[name]}" if name in stall_s else ""
        types.append(f"{name}: {{handler: 'benchmarks.job_bodies:{function}'{limit}}}")
    return f"workers.job_types={{{', '.join(types)}}}"


def do_nothing(job: JobContext) -> None:
    """The whole job."""


def wait_at_gate(job: JobContext) -> None:
    """Keep a worker busy until a file appears."""
    mark(job.payload["log"], "begin")
    gate = Path(job.payload["gate"])
    while not gate.exists():
        job.advance()
        time.sleep(0.005)


def work(job: JobContext) -> None:
    """Work for some seconds; from the second attempt on nothing is left to do.

    The peers' jobs, which cannot tell their attempt, work each time.
    """
    mark(job.payload["log"], "begin")
    end_s = time.monotonic() + job.payload["seconds"]
    while job.attempt == 1 and time.monotonic() < end_s:
        job.advance()
        time.sleep(0.01)


def hold_gil_once(job: JobContext) -> None:
    """Let no other thread of the worker run: a C function called without giving up the lock."""
    mark(job.payload["log"], "begin")
    if job.attempt == 1:
        ctypes.PyDLL(None).sleep(600)


def deadlock_once(job: JobContext) -> None:
    """Wait for a lock that nobody will release."""
    mark(job.payload["log"], "begin")
    if job.attempt == 1:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


def loop_once(job: JobContext) -> None:
    """Never end, in Python alone."""
    mark(job.payload["log"], "begin")
    if job.attempt == 1:
        _loop()


def _loop() -> NoReturn:
    while True:
        pass
