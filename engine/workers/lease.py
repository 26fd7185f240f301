"""How long a worker may go on without another sign of life."""

import enum
import math
from typing import Final

import attrs

_PROOF_S: Final = 0.5
"""How long after its limit work counts as stalled though no check has told: it may have moved since
the last one. A check that tells is asked for in time."""


class Verdict(enum.Enum):
    """Why a lease has ended."""

    SILENT = "silent"
    """It did not check in."""
    STALLED = "stalled"
    """It did, but its job makes no progress, or its main thread, which has none, stands still."""
    UNCANCELLED = "uncancelled"
    """It was told to end its job, and did not."""


@attrs.define
class _Work:
    """What a worker is at: the job of `token`, or if that is empty, getting and delivering jobs."""

    token: str
    progress: int
    progressed_s: float
    stall_s: float
    stood_still_s: float = math.inf
    """When a check has told that the limit was reached."""
    cancelled_by_s: float | None = None

    @property
    def limit_s(self) -> float:
        """Until when it must have moved."""
        return self.progressed_s + self.stall_s

    @property
    def stalled_s(self) -> float:
        """When it counts as stalled."""
        return min(self.limit_s + _PROOF_S, self.stood_still_s)


class Lease:
    """One worker's lease. Pure: it is told what time it is.

    All times are of one monotonic clock, in seconds.
    """

    def __init__(self, now_s: float, *, start_timeout_s: float, check_deadline_s: float) -> None:
        """Begin when a worker is asked for, which has `start_timeout_s` to exist and check in."""
        self._check_deadline_s = check_deadline_s
        self._check_due_s = now_s + start_timeout_s
        self._work: _Work | None = None
        self._checked_s: float | None = None
        self._not_before_s = now_s
        self._news_since_s = now_s

    @property
    def checked_s(self) -> float | None:
        """When it last checked in."""
        return self._checked_s

    @property
    def token(self) -> str:
        """Of the job that was in hand at the last check, empty if none was."""
        return "" if self._work is None else self._work.token

    @property
    def deadline_s(self) -> float:
        """When the lease ends, unless a check comes before."""
        deadline_s = self._check_due_s
        work = self._work
        if work is not None:
            deadline_s = min(deadline_s, work.stalled_s)
            if work.cancelled_by_s is not None:
                deadline_s = min(deadline_s, work.cancelled_by_s)
        return max(deadline_s, self._not_before_s)

    def on_start(self, now_s: float, first_check_s: float) -> None:
        """Note that there is a process: what it is waited for now is its first check."""
        if self._checked_s is None:
            self._check_due_s = now_s + first_check_s

    def on_hand_out(self, now_s: float) -> None:
        """Note that jobs are handed to the worker: it cannot have begun them before."""
        self._news_since_s = now_s

    def on_check(
        self, now_s: float, token: str, progress: int, stall_s: float, still_s: float = 0.0
    ) -> None:
        """Take a check.

        Args:
          token: of the job in hand, empty if there is none.
          progress: the job's counter, or without a job the main thread's; any change is progress.
          stall_s: how long it may go without.
          still_s: how long ago the counter has moved, as the worker says. It is believed as far as
            can be: what is news must have happened since the last check or handing out of jobs.
        """
        progressed_s = min(now_s, max(now_s - still_s, self._news_since_s))
        self._checked_s = self._news_since_s = now_s
        self._check_due_s = now_s + self._check_deadline_s
        work = self._work
        if work is None or work.token != token:
            work = self._work = _Work(token, progress, progressed_s, stall_s)
        elif work.progress != progress:
            work.progress, work.progressed_s = progress, progressed_s
        if now_s >= work.limit_s:
            work.stood_still_s = min(work.stood_still_s, now_s)

    def stalls_in_s(self, now_s: float) -> float | None:
        """Return how soon the work stalls unless it moves, None if there is none."""
        work = self._work
        return None if work is None else max(0.0, work.limit_s - now_s)

    def on_cancel(self, now_s: float, grace_s: float) -> None:
        """Note that the worker is told to end the job in hand; the first time counts."""
        if self._work is not None and self._work.cancelled_by_s is None:
            self._work.cancelled_by_s = now_s + grace_s

    def forgive(self, now_s: float, grace_s: float) -> None:
        """Let it live a little longer: it was the engine that slept, and checks may be waiting.

        What the job has not done since the last check is not held against it: the whole machine may
        have slept.
        """
        self._not_before_s = now_s + grace_s
        self._news_since_s = now_s
        work, checked_s = self._work, self._checked_s
        if work is not None and checked_s is not None:
            work.progressed_s = min(now_s, work.progressed_s + now_s - checked_s)
            work.stood_still_s = math.inf
            if work.cancelled_by_s is not None:
                work.cancelled_by_s += now_s - checked_s

    def verdict(self, now_s: float) -> Verdict | None:
        """Return why the lease has ended, None if it has not."""
        if now_s < self.deadline_s:
            return None
        work = self._work
        if now_s >= self._check_due_s or work is None:
            return Verdict.SILENT
        if work.cancelled_by_s is not None and now_s >= work.cancelled_by_s:
            return Verdict.UNCANCELLED
        return Verdict.STALLED
