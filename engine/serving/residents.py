"""Keeps jobs alive that have no end of their own: one for each worker that is to score."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs
import trio

from engine.config import DEFAULT_POOL
from engine.errors import UnavailableError
from engine.jobs import JobFilter, JobSpec, JobState, Submission
from engine.jobs.reading import JobPage
from engine.jobs.views import JobView
from engine.jobs.watching import JobWatch

logger = logging.getLogger(__name__)

SCORE: Final = "score"
"""The type of job that scores."""
SERVE_POOL: Final = "serve"
"""The pool of workers that are kept for it, if there is one."""
_LOOK_S: Final = 1.0
_UNFINISHED: Final = (JobState.RUNNING, JobState.QUEUED, JobState.SCHEDULED)


class ResidentQueue(Protocol):
    """What is needed of the jobs; `engine.jobs.Jobs` is one."""

    async def submit(self, spec: JobSpec) -> Submission:
        """Accept a job."""

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job."""

    async def list(self, wanted: JobFilter | None = None, *, most: int = 100) -> JobPage:
        """Return jobs, latest first."""

    def watch(self, job_id: str) -> JobWatch:
        """Follow a job."""


@attrs.frozen
class ResidentSpec:
    """Where scoring jobs are to run, and how often one may fail."""

    pool: str
    max_attempts: int = 1_000


def count_scorers(pools: Sequence[str | None], pool: str) -> int:
    """Return how many workers are to score.

    Args:
      pools: of the workers there are; None: any.
      pool: where scoring jobs are to run.
    """
    if pool != DEFAULT_POOL:
        return pools.count(pool)
    # A job without an end takes a worker for good: one that does anything, if there are others.
    return int(pools.count(None) > 1)


class Residents:
    """Has as many scoring jobs as are wanted; those of an earlier engine are taken over."""

    def __init__(
        self, jobs: ResidentQueue, spec: ResidentSpec, count_wanted: Callable[[], int]
    ) -> None:
        self._jobs = jobs
        self._spec = spec
        self._count_wanted = count_wanted
        self._alive: dict[str, JobView | None] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep them alive until cancelled; they live on then.

        Raises:
          StoreError: the data file cannot be read.
          UnavailableError: nothing can be written any more.
        """
        async with trio.open_nursery() as nursery:
            for state in _UNFINISHED:
                for view in (await self._jobs.list(JobFilter(state, SCORE), most=1_000)).jobs:
                    if view.job_id not in self._alive:
                        self._adopt(view.job_id, nursery)
            task_status.started()
            while True:
                await self._settle(nursery)
                # An end may come again at once; so does not the next beginning.
                await trio.sleep(_LOOK_S)

    async def _settle(self, nursery: trio.Nursery) -> None:
        wanted = self._count_wanted()
        for _ in range(wanted - len(self._alive)):
            spec = JobSpec(
                SCORE,
                {},
                pool=self._spec.pool,
                max_attempts=self._spec.max_attempts,
                traced=False,
            )
            self._adopt((await self._jobs.submit(spec)).job_id, nursery)
        surplus = len(self._alive) - wanted
        for job_id in self._least_useful()[: max(0, surplus)]:
            await self._jobs.cancel(job_id)

    def _least_useful(self) -> list[str]:
        """Return the jobs, those first that wait, or are of another pool's workers."""

        def use(job_id: str) -> tuple[bool, bool]:
            view = self._alive[job_id]
            if view is None:
                return False, False
            return view.pool == self._spec.pool, view.state is JobState.RUNNING

        return sorted(self._alive, key=use)

    def _adopt(self, job_id: str, nursery: trio.Nursery) -> None:
        self._alive[job_id] = None
        nursery.start_soon(self._follow, job_id)

    async def _follow(self, job_id: str) -> None:
        try:
            async for view in self._jobs.watch(job_id):
                self._alive[job_id] = view
        except UnavailableError:
            # The engine stops; the job is one of the next engine's.
            return
        last = self._alive.pop(job_id)
        facts = {"job_id": job_id, "detail": None if last is None else last.error_message}
        logger.warning("a scoring job has ended", extra=facts)
