"""What the learning loop needs of the parts below it."""

from typing import Protocol

import attrs

from engine.jobs import JobSpec, JobView, Submission
from engine.records import Operation


class JobQueue(Protocol):
    """Accepts jobs and tells of them; `engine.jobs.Jobs` does."""

    async def submit(
        self, spec: JobSpec, operations: tuple[Operation, ...] = (), job_id: str | None = None
    ) -> Submission:
        """Accept a job, in one transaction with the operations."""

    async def get(self, job_id: str) -> JobView:
        """Return a job."""

    def new_job_id(self) -> str:
        """Return an id that no job has."""


class LastCommit(Protocol):
    """Tells the last commit; the store's writer does."""

    @property
    def commit_seq(self) -> int:
        """Its sequence number."""


@attrs.frozen
class JobPlan:
    """How a type of job is carried out."""

    pool: str
    max_attempts: int
