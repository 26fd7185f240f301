"""How long a worker may go on without another sign of life."""

import enum

import attrs


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
    cancelled_by_s: float | None = None


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
            deadline_s = min(deadline_s, work.progressed_s + work.stall_s)
            if work.cancelled_by_s is not None:
                deadline_s = min(deadline_s, work.cancelled_by_s)
        return max(deadline_s, self._not_before_s)

    def on_start(self, now_s: float, first_check_s: float) -> None:
        """Note that there is a process: what it is waited for now is its first check."""
        if self._checked_s is None:
            self._check_due_s = now_s + first_check_s

    def on_check(self, now_s: float, token: str, progress: int, stall_s: float) -> None:
        """Take a check.

        Args:
          token: of the job in hand, empty if there is none.
          progress: the job's counter, or without a job the main thread's; any change is progress.
          stall_s: how long it may go without.
        """
        self._checked_s = now_s
        self._check_due_s = now_s + self._check_deadline_s
        if self._work is None or self._work.token != token:
            self._work = _Work(token, progress, now_s, stall_s)
        elif self._work.progress != progress:
            self._work.progress = progress
            self._work.progressed_s = now_s

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
        work, checked_s = self._work, self._checked_s
        if work is not None and checked_s is not None:
            work.progressed_s = min(now_s, work.progressed_s + now_s - checked_s)
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
