"""One worker's dealings with the engine, from before its start until after its end."""

import logging
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from engine import metrics
from engine.clock import read_clock_us
from engine.errors import NotFoundError, StaleTokenError
from engine.jobs import (
    Cause,
    ClaimedJob,
    JobFailure,
    JobResult,
    Jobs,
    JobState,
    ResultVerdict,
)
from engine.workers.checks import CheckReply, CheckReport, Order, TakeReply
from engine.workers.exits import WorkerExit
from engine.workers.held_jobs import HeldJobs
from engine.workers.host import ExitStatus, WorkerProcess
from engine.workers.lease import Lease, Verdict
from engine.workers.page import PageView
from engine.workers.supervisor_settings import SupervisorSettings
from engine.workers.worker_sums import WorkerSums

logger = logging.getLogger(__name__)

_LATE_S: Final = 0.5
"""An engine that looks at a deadline this late was asleep itself."""
_FORGIVENESS_S: Final = 1.0
"""From when the next check is due."""
_SOONEST_CHECK_S: Final = 0.05
"""From one check to the next, however short the limit of the job."""
_FIRST_CHECK_S: Final = 5.0
"""A shorter deadline is not meant for what a process does before it checks in at all."""
_CALLS_BEFORE_STALL: Final = 3
"""A worker without jobs that asks for some is answered so many times before its silence counts."""


@attrs.frozen
class SlotName:
    """What a slot is called, and the pool it works for; None: any."""

    name: str
    pool: str | None


@attrs.frozen
class GivenUp:
    """Why the engine is done with a worker."""

    cause: Cause
    detail: str
    killed: bool
    """Whether that is to be seen to, or has happened already."""

    @property
    def wants_stacks(self) -> bool:
        """Whether what it was doing is worth knowing before it is killed."""
        return self.killed and self.cause is not Cause.SHUTDOWN


class LiveWorker:
    """A worker as the engine deals with it. Used from the Trio thread only."""

    def __init__(
        self,
        worker_id: str,
        slot: SlotName,
        jobs: Jobs,
        settings: SupervisorSettings,
        *,
        ready: trio.Event,
        host_lost: trio.Event | None,
    ) -> None:
        """Begin before the process is started: it may check in before its starter hears of it.

        Args:
          ready: set at its first check.
          host_lost: set when its host and all workers on it are given up.
        """
        self.worker_id = worker_id
        self.process: WorkerProcess | None = None
        self.given_up: GivenUp | None = None
        self.last_job: ClaimedJob | None = None
        """What it had in hand, or had not handed in, when it was given up."""
        self.order = Order.CONTINUE
        self.ready = ready
        self.ended = trio.Event()
        """It is gone, and its jobs are somebody else's."""
        self.starting = trio.CancelScope()
        """What waits for its start."""
        self.lease = Lease(
            trio.current_time(),
            start_timeout_s=settings.start_timeout_s,
            check_deadline_s=settings.check_deadline_s,
        )
        self._slot = slot.name
        self._pools = None if slot.pool is None else (slot.pool,)
        self._jobs = jobs
        self._held = HeldJobs(jobs, slot.name)
        self._settings = settings
        self._host_lost = host_lost
        self._lease_scope = trio.CancelScope()
        self._over = trio.Event()
        self._awaits_stacks = False
        self._claiming = trio.Lock()
        self._claim = trio.CancelScope()
        self._job_began_us: dict[str, int] = {}
        self._sums = WorkerSums()
        self._reported_memory_bytes: int | None = None

    @property
    def is_host_lost(self) -> bool:
        return self._host_lost is not None and self._host_lost.is_set()

    def job_in_hand(self) -> ClaimedJob | None:
        """Return the job being run."""
        return self._held.in_hand(self._page(), self.lease.token)

    def begun(self) -> tuple[ClaimedJob, ...]:
        """Return what it had begun of what it holds, if it is dead."""
        return self._held.begun(self._page())

    @property
    def memory_bytes(self) -> int | None:
        """What it uses, with its children where its host has looked; None: not known yet."""
        seen = None if self.process is None else self.process.memory_bytes()
        return self._reported_memory_bytes if seen is None else seen

    def check_age_s(self, now_s: float) -> float | None:
        """Return how long its last check is ago, None if there was none."""
        checked_s = self.lease.checked_s
        return None if checked_s is None else now_s - checked_s

    def began_us(self, token: str) -> int | None:
        """Return when a job was first heard of as being in hand, None if it was too short."""
        return self._job_began_us.get(token)

    def check(self, report: CheckReport) -> CheckReply:
        """Take a check: the lease goes on.

        One that was given up is not told so before its stacks are taken: it would be gone.

        Raises:
          NotFoundError: it has been given up.
        """
        if self._awaits_stacks and not self.is_host_lost:
            return CheckReply(Order.CONTINUE)
        self._require()
        now_s = trio.current_time()
        self._forgive_if_late(now_s)
        if self.lease.checked_s is not None:
            metrics.WORKER_CHECK_INTERVAL_SECONDS.observe(now_s - self.lease.checked_s)
        job = self._held.find(report.token)
        stall_s = self._stall_s(report.token)
        self.lease.on_check(now_s, report.token, report.progress, stall_s, report.still_s)
        self.ready.set()
        self._reported_memory_bytes = report.memory_bytes
        self._sums.take(report.jobs_done, report.counters)
        again_in_s = self._again_in_s(now_s)
        reply = CheckReply(self.order, again_in_s=again_in_s)
        if job is not None:
            self._note_progress(job, report)
            # Before any order to leave, which the end of the job is a step to.
            if self._jobs.is_cancel_requested(job.job_id, job.token):
                self.lease.on_cancel(now_s, self._settings.cancel_grace_s)
                reply = CheckReply(Order.CANCEL_JOB, job.token, again_in_s)
        self._lease_scope.deadline = self.lease.deadline_s
        return reply

    async def take_jobs(self, most: int, wait_s: float) -> TakeReply:
        """Hand out jobs, or none if there are none within `wait_s` or the worker is to leave.

        Raises:
          NotFoundError: it has been given up.
        """
        # A worker waits for one answer at a time: nobody reads that of an earlier call.
        self._claim.cancel()
        async with self._claiming:
            self._require()
            if self.order is not Order.CONTINUE:
                return TakeReply((), self.order)
            # It asks with empty hands: what it holds are jobs whose answer was lost.
            jobs = self._held.all()
            if not jobs:
                wait_s = min(wait_s, self._settings.idle_stall_s / _CALLS_BEFORE_STALL)
                with trio.CancelScope() as self._claim:
                    jobs = tuple(await self._jobs.claim(self._slot, self._pools, most, wait_s))
            self._require()
            if jobs:
                self.lease.on_hand_out(trio.current_time())
            return TakeReply(jobs[:most], self.order)

    async def complete(self, results: Sequence[JobResult]) -> list[ResultVerdict]:
        """Take results. As `Jobs.complete`; NotFoundError if the worker has been given up."""
        self._require()
        marked = [
            attrs.evolve(
                result,
                worker_id=self.worker_id,
                pid=self._pid,
                started_at_us=self._job_began_us.pop(result.token, None),
            )
            for result in results
        ]
        return await self._jobs.complete(self._slot, marked)

    async def fail(self, failure: JobFailure) -> JobState:
        """Take an error. As `Jobs.fail`; NotFoundError if the worker has been given up."""
        self._require()
        began_us = self._job_began_us.pop(failure.token, None)
        marked = attrs.evolve(
            failure, worker_id=self.worker_id, pid=self._pid, started_at_us=began_us
        )
        return await self._jobs.fail(self._slot, marked)

    async def give_back(self, tokens: Sequence[tuple[str, str]]) -> None:
        """Take back jobs, given as id and token, that were not begun."""
        self._require()
        await self._jobs.give_back(self._slot, tokens)

    def require_job(self, job_id: str, token: str) -> ClaimedJob:
        """Return a job that it holds.

        Raises:
          StaleTokenError: it does not.
        """
        self._require()
        job = self._held.find(token)
        if job is None or job.job_id != job_id:
            raise StaleTokenError(job_id)
        return job

    def tell(self, order: Order) -> None:
        """Have it leave after the job in hand; at once if it waits for one."""
        self.order = order
        self._claim.cancel()

    def give_up(self, cause: Cause, detail: str, *, killed: bool = True) -> None:
        """Be done with it; the first reason counts."""
        if self.given_up is None:
            self.given_up = GivenUp(cause, detail, killed)
            self._awaits_stacks = self.given_up.wants_stacks
            # Now: while its stacks are captured it may run on, and end a job that it cannot
            # deliver any more.
            self.last_job = self._unfinished_job()
            self._over.set()
            self.starting.cancel()
            self._claim.cancel()

    def note_stacks_taken(self) -> None:
        """From now on it is told that it was given up."""
        self._awaits_stacks = False

    async def close(self) -> None:
        """Return when nothing can be handed to it any more; it has been given up."""
        self._claim.cancel()
        async with self._claiming:
            pass

    async def watch(self, process: WorkerProcess) -> None:
        """Return once it has been given up, for whatever reason, its own end included."""
        self.lease.on_start(trio.current_time(), self._first_check_s)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_exit, process)
            nursery.start_soon(self._wait_over_memory, process)
            nursery.start_soon(self._wait_lease_end)
            nursery.start_soon(self._wait_host_lost)
            await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _wait_exit(self, process: WorkerProcess) -> None:
        status = await process.wait()
        self.give_up(self._judge_exit(process, status), status.describe(), killed=False)

    def _judge_exit(self, process: WorkerProcess, status: ExitStatus) -> Cause:
        if self.is_host_lost:
            return Cause.HOST_LOST
        # The code of a worker with such a job says nothing: the job may have called os._exit.
        unfinished = process.page().running is not None or self._unfinished_job() is not None
        if not unfinished and status.exit in {WorkerExit.LEFT, WorkerExit.RECYCLED}:
            return Cause.SHUTDOWN if self.order is Order.DRAIN else Cause.RECYCLED
        return Cause.DIED

    async def _wait_over_memory(self, process: WorkerProcess) -> None:
        used_bytes = await process.wait_over_memory()
        self.give_up(Cause.MEMORY, f"{used_bytes / 2**20:,.0f} MiB in use, more than it may have")

    async def _wait_host_lost(self) -> None:
        if self._host_lost is None:
            return
        await self._host_lost.wait()
        self.give_up(Cause.HOST_LOST, "its host has left or was not heard from", killed=False)

    async def _wait_lease_end(self) -> None:
        while True:
            with trio.CancelScope(deadline=self.lease.deadline_s) as self._lease_scope:
                await trio.sleep_forever()
            now_s = trio.current_time()
            self._forgive_if_late(now_s)
            verdict = self.lease.verdict(now_s)
            if verdict is not None:
                self.give_up(*self._explain(verdict))
                return

    def _forgive_if_late(self, now_s: float) -> None:
        """Give it time if the engine was asleep, whichever comes first after that, it or a check.

        Otherwise a check would seem to say that what slept with the engine has stood still.
        """
        if now_s - self.lease.deadline_s > _LATE_S:
            logger.warning("the engine was asleep; workers are given time to check in")
            self.lease.forgive(now_s, self._settings.check_interval_s + _FORGIVENESS_S)

    def _again_in_s(self, now_s: float) -> float | None:
        """Return how soon to hear of the work again if it may stall before the regular check.

        So that a stall is noticed when it is one, and what moves in time is known to.
        """
        stalls_in_s = self.lease.stalls_in_s(now_s)
        if stalls_in_s is None or stalls_in_s >= self._settings.check_interval_s:
            return None
        return max(stalls_in_s, _SOONEST_CHECK_S)

    def _explain(self, verdict: Verdict) -> tuple[Cause, str]:
        settings = self._settings
        match verdict:
            case Verdict.SILENT if self.lease.checked_s is None:
                return Cause.SILENT, f"no check within {self._first_check_s:g} s of its start"
            case Verdict.SILENT:
                return Cause.SILENT, f"no check for {settings.check_deadline_s:g} s"
            case Verdict.STALLED:
                stall_s = self._stall_s(self.lease.token)
                if not self.lease.token:
                    return Cause.STALLED, f"no job in hand, and no call for {stall_s:g} s"
                return Cause.STALLED, f"no progress for {stall_s:g} s"
            case Verdict.UNCANCELLED:
                return (
                    Cause.CANCELLED,
                    f"the job did not end within {settings.cancel_grace_s:g} s of its cancellation",
                )

    @property
    def _first_check_s(self) -> float:
        return max(self._settings.check_deadline_s, _FIRST_CHECK_S)

    def _stall_s(self, token: str) -> float:
        if not token:
            return self._settings.idle_stall_s
        job = self._held.find(token)
        return self._settings.stall_limit_s("" if job is None else job.job_type)

    def _note_progress(self, job: ClaimedJob, report: CheckReport) -> None:
        self._job_began_us.setdefault(job.token, read_clock_us())
        self._jobs.note_progress(
            job.job_id,
            job.token,
            report.progress,
            report.progress_note,
            total=report.progress_total,
            worker_id=self.worker_id,
        )

    def _page(self) -> PageView | None:
        return None if self.process is None else self.process.page()

    def _unfinished_job(self) -> ClaimedJob | None:
        return self._held.unfinished(self._page(), self.lease.token)

    @property
    def _pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    def _require(self) -> None:
        if self.given_up is not None or self.is_host_lost:
            raise NotFoundError("worker", self.worker_id)
