"""What a job's end means beyond the job: operations that land with its outcome."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from engine.errors import TrellisError
from engine.jobs.spec import ClaimedJob
from engine.jobs.states import JobState
from engine.records import Operation

logger = logging.getLogger(__name__)


@attrs.frozen
class EndedJob:
    """A job that ended without a result."""

    job_id: str
    run: int
    job_type: str
    payload_json: str
    state: JobState
    code: str
    message: str


CompletionHook = Callable[[ClaimedJob, Mapping[str, Any]], Awaitable[tuple[Operation, ...]]]
"""Given the job and its result; may raise TrellisError, which ends the attempt as an error."""
FailureHook = Callable[[EndedJob], tuple[Operation, ...]]
"""Given what has become of the job; what it raises is logged, and the job ends without it."""


class HookError(TrellisError):
    """A completion hook would not have the result."""


class Hooks:
    """The hooks of all job types."""

    def __init__(self) -> None:
        self._on_completion: dict[str, CompletionHook] = {}
        self._on_failure: dict[str, FailureHook] = {}

    def set_completion(self, job_type: str, hook: CompletionHook) -> None:
        """Have a job type's results land in the transaction that holds the outcome."""
        self._on_completion[job_type] = hook

    def set_failure(self, job_type: str, hook: FailureHook) -> None:
        """Have something written with the outcome FAILED, DEAD or CANCELLED of a job type."""
        self._on_failure[job_type] = hook

    async def run_completion(
        self, job: ClaimedJob, result: Mapping[str, Any]
    ) -> tuple[Operation, ...]:
        """Return the operations of a result.

        Raises:
          HookError: the hook failed, in whatever way; nobody else's job is to suffer.
        """
        hook = self._on_completion.get(job.job_type)
        if hook is None:
            return ()
        try:
            return await hook(job, result)
        except Exception as error:
            logger.warning(
                "completion hook failed",
                extra={"job_id": job.job_id, "job_type": job.job_type},
                exc_info=not isinstance(error, TrellisError),
            )
            raise HookError(f"{type(error).__name__}: {error}") from error

    def run_failure(self, ended: EndedJob) -> tuple[Operation, ...]:
        """Return the operations of a job's end, none if the hook fails."""
        hook = self._on_failure.get(ended.job_type)
        if hook is None:
            return ()
        try:
            return hook(ended)
        except Exception:
            logger.exception(
                "failure hook failed", extra={"job_id": ended.job_id, "job_type": ended.job_type}
            )
            return ()
