"""The jobs a worker has in hand: not begun yet, and done but not handed in.

Both threads of a worker reach into it. While a job runs long, the checking thread hands in what was
done before it and gives back what was taken along, so that no other job waits for it.
"""

import collections
import threading
from collections.abc import Iterable

import attrs

from engine.tasks.errors import Failure


@attrs.frozen
class Job:
    """A job as the engine hands it out; `token` is what its results are accepted by."""

    job_id: str
    token: str
    job_type: str
    payload_json: bytes
    attempt: int = 1
    request_id: str = ""
    traceparent: str = ""


@attrs.frozen
class Callers:
    """Calls that what is being done is for, where the job is for no call of its own."""

    request_ids: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()


@attrs.frozen
class Done:
    """A job's result."""

    job: Job
    result_json: bytes


@attrs.frozen
class Failed:
    """A job's failure."""

    job: Job
    failure: Failure


Outcome = Done | Failed


class Hand:
    """What was taken and what is to be handed in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: collections.deque[Job] = collections.deque()
        self._outcomes: list[Outcome] = []
        self.running: Job | None = None
        """What the main thread is about."""
        self.callers = Callers()
        """Whom for, if the job says so."""
        self.handing_in = threading.Lock()
        """Held from taking the outcomes until the engine has them: who leaves must not leave while
        the other thread is about it."""

    def take(self, jobs: Iterable[Job]) -> None:
        """Add jobs to do."""
        with self._lock:
            self._waiting.extend(jobs)

    def next_job(self) -> Job | None:
        """Return the job to do next, None if there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def give_back(self) -> list[Job]:
        """Return the jobs that were not begun; they will not be."""
        with self._lock:
            jobs = list(self._waiting)
            self._waiting.clear()
            return jobs

    def put(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes to hand in."""
        with self._lock:
            self._outcomes.extend(outcomes)

    def outcomes(self) -> list[Outcome]:
        """Return what is to be handed in; put back what could not be."""
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
            return outcomes

    @property
    def has_outcomes(self) -> bool:
        return bool(self._outcomes)
