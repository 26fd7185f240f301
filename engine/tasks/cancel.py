"""Stopping the job in the main thread from the checking thread."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from engine.tasks.errors import JobCancelled

CANCEL_SIGNAL: Final = signal.SIGRTMAX - 2
"""Interrupts also a system call that the main thread waits in."""

IDLE: Final = ""
"""Stands for a token while the main thread waits for jobs."""

_AGAIN_S: Final = 5.0
"""How long a job has to clean up before it is interrupted again, in case it took no notice."""


class Cancellation:
    """Raises `JobCancelled` in the main thread, in the midst of the job it is meant for only."""

    def __init__(self) -> None:
        """Take the signal over; call it in the main thread."""
        self._running: str | None = None
        # Both threads change it, each by calls that are atomic.
        self._cancelled: set[str] = set()
        self._raised_at_s = -_AGAIN_S
        signal.signal(CANCEL_SIGNAL, self._interrupt)

    @contextmanager
    def running(self, token: str) -> Iterator[None]:
        """Let the job of this token be interrupted in the block.

        Raises:
          JobCancelled: it is to stop, perhaps even before it began.
        """
        self._raised_at_s = -_AGAIN_S
        self._running = token
        try:
            self.check()
            yield
        finally:
            # May itself be interrupted; whoever runs the job catches that as well.
            self._running = None

    def request(self, token: str) -> None:
        """Cancel the job of this token, now or as soon as it begins. For the checking thread."""
        self._cancelled.add(token)
        ident = threading.main_thread().ident
        if self._running == token and ident is not None:
            signal.pthread_kill(ident, CANCEL_SIGNAL)

    def forget(self, token: str) -> None:
        """Take note that the job is over."""
        self._cancelled.discard(token)

    def check(self) -> None:
        """Raise JobCancelled if the running job is to stop."""
        if self._running in self._cancelled:
            self._raised_at_s = time.monotonic()
            raise JobCancelled

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if time.monotonic() - self._raised_at_s >= _AGAIN_S:
            self.check()
