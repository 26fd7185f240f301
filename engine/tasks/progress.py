"""How far the main thread is, with a job or without, told by it and read by the checking thread."""

import logging
import operator
import threading
import time
from collections.abc import Mapping
from typing import Final

import attrs

from engine.workers.page import PageWriter

logger = logging.getLogger(__name__)

_MOST_COUNTERS: Final = 64
"""All of them go with every check."""
_MOST_STEPS: Final = 2**63 - 1
_NOTE_CHARS: Final = 500
"""It goes with every check, and is shown on a line."""


@attrs.frozen
class ProgressView:
    """A job's progress at one moment. `counter` only ever grows; `total` is 0 if not known.

    `still_s` is how long ago the counter has moved, or the job begun.

    Without a job, `token` is None and `counter` is that of the main thread's calls to the engine.
    """

    token: str | None
    counter: int
    total: int
    note: str
    still_s: float


class Progress:
    """The running job's progress, and the counters of the worker's whole life."""

    def __init__(self, page: PageWriter) -> None:
        self._page = page
        self._token: str | None = None
        self._counter = 0
        self._total = 0
        self._note = ""
        self._moved_s = self._called_s = time.monotonic()
        self._calls = 0
        self._counters: dict[str, float] = {}
        self._counters_lock = threading.Lock()
        self._dropped = False

    def begin(self, token: str) -> None:
        """A job begins."""
        self._moved_s = time.monotonic()
        self._counter = 0
        self._total = 0
        self._note = ""
        self._token = token
        self._page.begin(token)

    def end(self) -> None:
        """The job is over."""
        self._called_s = time.monotonic()
        self._token = None
        self._page.end()

    def advance(self, amount: int, total: int | None, note: str | None) -> None:
        """The job has come further.

        What could not be sent is refused here, where its job is to blame, not with the next check.

        Raises:
          TypeError: a number is no whole one, or the note is no text.
          ValueError: a number is negative, or beyond 63 bits.
        """
        if amount:
            counter = _checked_steps(self._counter + _checked_steps(amount))
            # First the time, which is read last: a counter is never seen with an earlier time.
            self._moved_s = time.monotonic()
            self._counter = counter
            self._page.set_progress(counter)
        if total is not None:
            self._total = _checked_steps(total)
        if note is not None:
            if not isinstance(note, str):
                raise TypeError(f"the note is a {type(note).__name__}, not a text")
            self._note = note[:_NOTE_CHARS].encode(errors="backslashreplace").decode()

    def note_call(self) -> None:
        """The main thread is about to call the engine."""
        self._called_s = time.monotonic()
        self._calls += 1

    def count(self, name: str, amount: float) -> None:
        """Add to one of the counters, or to none if there are too many already."""
        with self._counters_lock:
            known = self._counters.get(name)
            if known is not None:
                self._counters[name] = known + amount
            elif len(self._counters) < _MOST_COUNTERS:
                self._counters[name] = float(amount)
            elif not self._dropped:
                self._dropped = True
                logger.warning("more than %d counters; %s is dropped", _MOST_COUNTERS, name)

    def counters(self) -> Mapping[str, float]:
        """Return the counters: sums since the worker began, so that none is counted twice."""
        with self._counters_lock:
            return dict(self._counters)

    def view(self) -> ProgressView:
        """Return how far the running job is, or if there is none, the main thread.

        Taken while the other thread goes on: at worst the end of one job with the name of the next.
        """
        token = self._token
        if token is None:
            calls = self._calls
            return ProgressView(None, calls, 0, "", time.monotonic() - self._called_s)
        counter, total, note = self._counter, self._total, self._note
        return ProgressView(token, counter, total, note, time.monotonic() - self._moved_s)


def _checked_steps(given: int) -> int:
    steps = operator.index(given)
    if not 0 <= steps <= _MOST_STEPS:
        raise ValueError(f"{given!r} is no number of steps; a job's progress only grows")
    return steps
