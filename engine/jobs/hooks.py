"""What a job's end, or its next run, means beyond the job: operations that land with it."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
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


@attrs.frozen
class RetriedJob:
    """A job that ended without a result and is to run again."""

    job_id: str
    run: int
    """The one that is to begin."""
    job_type: str
    payload_json: str


HoldHook = Callable[[], AbstractAsyncContextManager[None]]
"""Entered before results are looked at and left when what they mean is on disk, or refused."""
CompletionHook = Callable[[ClaimedJob, Mapping[str, Any]], Awaitable[tuple[Operation, ...]]]
"""Given the job and its result; may raise TrellisError, which ends the attempt as an error."""
FailureHook = Callable[[EndedJob], tuple[Operation, ...]]
"""Given what has become of the job; what it raises is logged, and the job ends without it."""
RetryHook = Callable[[RetriedJob], AbstractAsyncContextManager[tuple[Operation, ...]]]
"""Entered before a run begins again and left when that is on disk; what it raises refuses it."""


@attrs.frozen
class JobHooks:
    """What is to be done at the turns of a job type."""

    complete: CompletionHook | None = None
    """Has results land in the transaction that holds their outcome. One that raises, or whose
    operations are refused, ends that attempt as an error."""
    fail: FailureHook | None = None
    """Has operations written with the outcome FAILED, DEAD or CANCELLED."""
    retry: RetryHook | None = None
    """Has operations written with the start of another run, or refuses it."""
    hold: HoldHook | None = None
    """Keeps what `complete` decides on as it is until the operations have landed. Its waits are
    short, and it raises nothing: the results of other types wait with it."""


class HookError(TrellisError):
    """A completion hook would not have the result."""


_NONE = JobHooks()


class Hooks:
    """The hooks of all job types: known before the first job is looked at, and the same ever since.

    A job may have ended in an earlier engine, and is told of while the queue is built.
    """

    def __init__(self, by_type: Mapping[str, JobHooks]) -> None:
        self._by_type = dict(by_type)

    def _of(self, job_type: str) -> JobHooks:
        return self._by_type.get(job_type, _NONE)

    @asynccontextmanager
    async def holding(self, job_types: Iterable[str]) -> AsyncIterator[None]:
        """Keep what the completions of some types of job rest on as it is while the block runs."""
        async with AsyncExitStack() as stack:
            # In one order, or two batches could wait for each other.
            for job_type in sorted(set(job_types)):
                if (hold := self._of(job_type).hold) is not None:
                    await stack.enter_async_context(hold())
            yield

    async def run_completion(
        self, job: ClaimedJob, result: Mapping[str, Any]
    ) -> tuple[Operation, ...]:
        """Return the operations of a result.

        Raises:
          HookError: the hook failed, in whatever way; nobody else's job is to suffer.
        """
        hook = self._of(job.job_type).complete
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
        hook = self._of(ended.job_type).fail
        if hook is None:
            return ()
        try:
            return hook(ended)
        except Exception:
            logger.exception(
                "failure hook failed", extra={"job_id": ended.job_id, "job_type": ended.job_type}
            )
            return ()

    @asynccontextmanager
    async def run_retry(self, job: RetriedJob) -> AsyncIterator[tuple[Operation, ...]]:
        """Provide the operations that begin a run again, for as long as they take to be written.

        Raises:
          TrellisError: the job may not run again.
        """
        hook = self._of(job.job_type).retry
        if hook is None:
            yield ()
            return
        async with hook(job) as operations:
            yield operations
