"""What the two threads of a worker tell each other."""

import threading
import time

from engine.workers.exits import WorkerExit


class Orders:
    """Whether to leave, and how long the main thread has been at one job."""

    def __init__(self) -> None:
        self._leaving = threading.Event()
        self._reason: WorkerExit | None = None
        self._busy_since_s: float | None = None

    @property
    def reason_to_leave(self) -> WorkerExit | None:
        return self._reason

    def leave(self, reason: WorkerExit) -> None:
        """Have the worker leave after the job in hand; the first reason counts."""
        if self._reason is None:
            self._reason = reason
        self._leaving.set()

    def pause(self, duration_s: float) -> None:
        """Wait, but not longer than until the worker is to leave."""
        self._leaving.wait(duration_s)

    def begin_job(self) -> None:
        """The main thread begins a job."""
        self._busy_since_s = time.monotonic()

    def end_job(self) -> None:
        """The main thread has ended it."""
        self._busy_since_s = None

    def busy_s(self) -> float:
        """Return how long the main thread has been at its job, 0 if it is at none."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s
