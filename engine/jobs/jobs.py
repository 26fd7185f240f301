"""Jobs: accepted once, run until they end, ended once."""

import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Literal

import trio

from engine.jobs.history import JobFilter, JobHistory, RowReader
from engine.jobs.hooks import JobHooks
from engine.jobs.lease_queue import Client
from engine.jobs.leases import jobs_of
from engine.jobs.parts import JobParts, make_parts
from engine.jobs.queue_records import Unreserve
from engine.jobs.reading import JobPage, QueueStats
from engine.jobs.settings import JobsSettings
from engine.jobs.spec import (
    AttemptEnd,
    ClaimedJob,
    JobFailure,
    JobResult,
    JobSpec,
    Progress,
    ResultVerdict,
    RunningJob,
    Submission,
)
from engine.jobs.states import JobState
from engine.jobs.views import JobView
from engine.jobs.watching import JobWatch
from engine.records import Operation, RequestWriter

BackTo = Literal["slot", "queue"]

_CLOSE_S = 2.0


class Jobs:
    """The one way to jobs. Made by `open_jobs`; used from the Trio thread.

    What was accepted or has ended is on disk before a call returns; what Redis is told follows at
    once, or, while it is away, when it is back. No call but `claim` and `stats` waits for Redis.
    """

    def __init__(self, parts: JobParts) -> None:
        """Offer what the parts do; see `open_jobs`."""
        self._clock = parts.clock
        self._leases = parts.leases
        self._changes = parts.changes
        self._link = parts.link
        self._claims = parts.claims
        self._reports = parts.reports
        self._submissions = parts.submissions
        self._control = parts.control
        self._reading = parts.reading
        self._upkeep = parts.upkeep

    def new_job_id(self) -> str:
        """Return an id that no job has, for operations that must name the job they come with."""
        return self._submissions.new_job_id()

    async def submit(
        self, spec: JobSpec, operations: Sequence[Operation] = (), job_id: str | None = None
    ) -> Submission:
        """Accept a job: on disk when this returns, in one transaction with `operations`.

        With an idempotency key that is known nothing is written, and the known job is returned.

        Args:
          job_id: from `new_job_id`, if the operations name it.
        Raises:
          InvalidArgumentError: names the field of the request.
          SchemaMismatchError, ResourceExhaustedError: the operations are refused, the job too.
          UnavailableError: the engine is shutting down.
        Cancellation: a checkpoint before the job is accepted; none after that.
        """
        return await self._submissions.submit(spec, operations, job_id)

    async def claim(
        self, slot: str, pools: Sequence[str] | None, most: int, wait_s: float
    ) -> list[ClaimedJob]:
        """Hand up to `most` jobs to a slot, or none if there are none within `wait_s`.

        What was given back to the slot comes first, then the foremost of the pools. A job is the
        slot's until `complete`, `fail` or `release` ends that.

        Args:
          pools: None for all.
          most: 1 to 1,000.
        Cancellation: a checkpoint while waiting; jobs are the slot's before the call returns, see
          `held` if its answer may have been lost.
        """
        return jobs_of(await self._claims.claim(slot, pools, most, wait_s))

    def held(self, slot: str) -> tuple[ClaimedJob, ...]:
        """Return what a slot holds, in the order it was handed out."""
        return tuple(jobs_of(self._leases.of_slot(slot)))

    async def complete(self, slot: str, results: Sequence[JobResult]) -> list[ResultVerdict]:
        """Take results: effects and outcomes are on disk when this returns.

        A result whose token is stale changes nothing; one whose effects are refused ends its
        attempt as an error; neither concerns the others. Repeated, it answers the same.

        Raises:
          UnavailableError, DataFileFailedError: nothing more can be written.
        Cancellation: a checkpoint while hooks run, with nothing changed; none after that.
        """
        return await self._reports.complete(slot, results)

    async def fail(self, slot: str, failure: JobFailure) -> JobState:
        """Take an error: the job is tried again later, or has failed for good.

        Returns: where the job stands now.
        Raises:
          StaleTokenError: the slot no longer holds the job under this token.
          UnavailableError, DataFileFailedError: nothing more can be written.
        """
        return await self._reports.fail(slot, failure)

    async def release(
        self,
        slot: str,
        *,
        running: str | None,
        done: Collection[str] = (),
        end: AttemptEnd,
        back_to: BackTo,
    ) -> None:
        """Take back all jobs of a slot whose worker is gone for good.

        Results that are being taken in are awaited first. The job that was running has its attempt
        recorded, with cause and stack, and charged if `end` says so; so have those that were done,
        never charged. The others go back as if they had not been handed out. What goes back keeps
        its place in the queue.

        Args:
          running: the id of the job that was being run; None if none was.
          done: ids of other jobs that it had begun, and whose outcomes never came.
          back_to: "slot" if the slot's next claim is to get them first and nobody else may;
            "queue" if anyone may, also have what went back to the slot before.
        Raises:
          UnavailableError, DataFileFailedError: nothing more can be written.
        """
        await self._reports.release(
            slot, running=running, done=done, end=end, to_slot=back_to == "slot"
        )
        if back_to == "queue":
            self._link.put(Unreserve(slot))

    def let_go(self, slot: str) -> None:
        """Let anyone have what went back to a slot, which will not claim any more."""
        self._link.put(Unreserve(slot))

    async def give_back(self, slot: str, tokens: Sequence[tuple[str, str]]) -> None:
        """Take back jobs that a living worker has not begun, given as job id and token.

        They keep their place, for anyone; tokens that are stale are passed over.
        """
        await self._reports.give_back(slot, tokens)

    def note_progress(
        self,
        job_id: str,
        token: str,
        counter: int,
        note: str = "",
        *,
        total: int | None = None,
        worker_id: str = "",
    ) -> bool:
        """Note what a worker says of the job it runs, for those who watch.

        Args:
          counter: advances while the job does.
          total: what the counter will be at the end, if that is known.
        Returns: False if the job is no longer held under this token.
        """
        lease = self._leases.get(job_id)
        if lease is None or lease.job.token != token:
            return False
        lease.worker_id = worker_id
        if lease.note(Progress(counter, total, note, self._clock.now_us())):
            self._changes.tell(job_id)
        return True

    def find_running(self, job_id: str) -> RunningJob | None:
        """Return a job that a worker of this engine has in hand; by memory alone."""
        lease = self._leases.get(job_id)
        return None if lease is None else lease.running_job

    def is_cancel_requested(self, job_id: str, token: str) -> bool:
        """Tell whether the worker that holds a job should be told to stop it."""
        lease = self._leases.get(job_id)
        return lease is not None and lease.job.token == token and lease.cancel_requested

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job: at once if nobody runs it, otherwise by way of its worker's next check.

        A job that has ended is left as it is. One that completes before it hears of it has
        succeeded.

        Raises:
          InvalidArgumentError, NotFoundError: there is no such job.
        """
        await self._control.cancel(job_id)
        return await self._reading.get(job_id)

    async def retry(self, job_id: str) -> JobView:
        """Start another run of a job that has ended otherwise than in success.

        Attempts count anew.

        Raises:
          InvalidArgumentError, NotFoundError: there is no such job.
          FailedPreconditionError: it has not ended, or it has succeeded, or what it worked on is
            another job's by now.
        """
        await self._control.retry(job_id)
        return await self._reading.get(job_id)

    async def get(self, job_id: str) -> JobView:
        """Return a job with all attempts that have ended.

        Raises:
          InvalidArgumentError, NotFoundError: there is no such job.
        """
        return await self._reading.get(job_id)

    async def list(
        self, wanted: JobFilter | None = None, *, before: str = "", most: int = 100
    ) -> JobPage:
        """Return jobs, latest first, without their attempts.

        Args:
          before: where the page begins: `next_before` of the one before it.
          most: 1 to 1,000.
        """
        return await self._reading.list(wanted or JobFilter(), before, most)

    def watch(self, job_id: str) -> JobWatch:
        """Follow a job: an async iterator of its states, from the present one to a final one.

        Raises: while iterating, as `get`; UnavailableError after `end_watching`.
        """
        return self._reading.watch(job_id)

    def end_watching(self) -> None:
        """Have all who follow a job told that the engine stops, rather than stay until the end."""
        self._changes.end()

    async def stats(self) -> QueueStats:
        """Return the depth of every pool and the age of its oldest job.

        Raises:
          BackendUnavailableError: Redis is away.
        """
        return await self._reading.stats()

    async def wait_queue_open(self) -> None:
        """Wait until the queue in Redis is whole and serves claims."""
        await self._link.wait_open()

    async def run(self) -> None:
        """Keep the queue whole and its gauges up to date until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link.run)
            nursery.start_soon(self._upkeep.run)

    async def close(self) -> None:
        """Tell Redis what it has not been told yet, if it is there; `run` is over."""
        await self._link.drain()


@asynccontextmanager
async def open_jobs(
    connect: Callable[[], Client],
    writer: RequestWriter,
    reader: RowReader,
    settings: JobsSettings,
    *,
    queue_name: str,
    hooks: Mapping[str, JobHooks] = MappingProxyType({}),
    draw: Callable[[], float] = random.random,
) -> AsyncIterator[Jobs]:
    """Provide the jobs of this engine while the block runs.

    Redis may be away, at the start and at any time: then nothing is claimed, and all else works.

    Args:
      connect: returns the client of a server or a cluster, which does not retry by itself.
      queue_name: tells this engine's queue from others on the same server; the same after a
        restart.
      hooks: by job type; given here since jobs of an earlier engine may end at once.
      draw: a random number in [0, 1), for the jitter of retries.
    Raises:
      StoreError: the data file cannot be read.
    Cancellation: at the end of the block, also when it is cancelled, Redis is told what was last
      decided; that is bounded by 2 s and the time limit of a call.
    """
    history = JobHistory(reader)
    jobs = Jobs(
        make_parts(
            connect,
            writer,
            history,
            settings,
            queue_name=queue_name,
            last_job_id=await history.fetch_last_job_id(),
            hooks=hooks,
            draw=draw,
        )
    )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs.run)
            yield jobs
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(_CLOSE_S, shield=True):
            await jobs.close()
