"""Workers, their host and their jobs in virtual time, which check what must hold at any moment.

A virtual worker takes jobs, works on them and checks in as a real one does, until a fault befalls
it. What runs, runs only while the process is alive: a stopped one goes on when it is continued.
"""

import math
from collections import deque

import attrs
import trio

from engine.errors import NotFoundError, StartFailedError
from engine.jobs import Cause, ClaimedJob, JobFailure, JobResult, ResultVerdict
from engine.workers.checks import CheckReport, Order
from engine.workers.exits import WorkerExit
from engine.workers.host import ExitStatus
from engine.workers.page import PageView, Phase, token_mark

STEP_S = 0.5
LINGERING_S = 5.0


@attrs.define(eq=False)
class VirtualJob:
    """A job, and where it is: `state` is queued, kept (for `slot`), held (by `slot`), or final."""

    job_id: str
    work_s: float
    step_s: float = STEP_S
    """How often it makes progress."""
    state: str = "queued"
    slot: str = ""
    attempt: int = 0
    failures: int = 0
    cancelled: bool = False

    @property
    def token(self):
        return f"{self.job_id}/{self.attempt}"

    @property
    def final(self):
        return self.state in {"succeeded", "cancelled", "dead"}

    def claimed(self):
        return ClaimedJob(
            job_id=self.job_id, run=1, attempt=self.attempt, token=self.token, job_type="work",
            payload_json="{}", failures=self.failures, accepted_at_us=0, request_id="",
            pool="default", max_attempts=3, priority=0,
        )  # fmt: skip


class VirtualJobs:
    """What the supervisor needs of `Jobs`, with the same promises."""

    def __init__(self, host):
        self.jobs = {}
        self.ends = []
        self._host = host
        self._changed = trio.Event()

    def add(self, work_s, step_s=STEP_S):
        job = VirtualJob(f"job-{len(self.jobs)}", work_s, step_s)
        self.jobs[job.job_id] = job
        self._announce()

    def held(self, slot):
        return tuple(
            job.claimed() for job in self.jobs.values() if (job.state, job.slot) == ("held", slot)
        )

    async def claim(self, slot, pools, most, wait_s):
        assert not self.held(slot), "a slot is given jobs while it has some"
        with trio.move_on_after(wait_s):
            while not self._claimable(slot):
                await self._changed.wait()
        # The server's answer is waited for, whatever happens meanwhile.
        with trio.CancelScope(shield=True):
            await trio.sleep(0.01)
        taken = self._claimable(slot)[:most]
        for job in taken:
            job.state, job.slot, job.attempt = "held", slot, job.attempt + 1
        return [job.claimed() for job in taken]

    async def complete(self, slot, results):
        return [self._complete(slot, result) for result in results]

    async def fail(self, slot, failure):
        job = self.jobs[failure.job_id]
        if (job.state, job.slot, job.token) == ("held", slot, failure.token):
            job.state = "cancelled"

    async def give_back(self, slot, tokens):
        raise AssertionError("no virtual worker does")

    async def release(self, slot, *, running, done, end, back_to):
        self._host.assert_none_runs(slot)
        self.ends.append((trio.current_time(), slot, end))
        for job in self.jobs.values():
            if (job.state, job.slot) != ("held", slot):
                assert job.job_id != running
                continue
            assert job.job_id not in done or job.job_id != running
            job.failures += end.charged and job.job_id == running
            job.state = "kept" if back_to == "slot" else "queued"
            if job.cancelled:
                job.state = "cancelled"
            elif job.failures >= 3:
                job.state = "dead"
        await trio.sleep(0.01)
        self._announce()

    def let_go(self, slot):
        for job in self.jobs.values():
            if (job.state, job.slot) == ("kept", slot):
                job.state = "queued"
        self._announce()

    def note_progress(self, job_id, token, counter, note="", **more):
        return True

    def is_cancel_requested(self, job_id, token):
        return self.jobs[job_id].cancelled

    def _claimable(self, slot):
        kept = [job for job in self.jobs.values() if (job.state, job.slot) == ("kept", slot)]
        return kept or [job for job in self.jobs.values() if job.state == "queued"]

    def _complete(self, slot, result: JobResult):
        job = self.jobs[result.job_id]
        accepted = (job.state, job.slot, job.token) == ("held", slot, result.token)
        if accepted:
            job.state = "cancelled" if job.cancelled else "succeeded"
        return ResultVerdict(result.job_id, accepted)

    def _announce(self):
        self._changed.set()
        self._changed = trio.Event()


class VirtualWorker:
    """A `WorkerProcess`. A fault is something the test does to it."""

    host = "local"

    def __init__(self, spec, pid, host):
        self.worker_id, self.pid, self.slot = spec.worker_id, pid, spec.slot
        self.status = None
        self.dead, self.gone = trio.Event(), trio.Event()
        self.lingers = False
        self.stopped_at_s = math.inf
        self.stuck_at_s = math.inf
        self.was_stopped = self.was_stuck = False
        self.job = None
        self._host = host
        self._counter = 0
        self.moved_s = trio.current_time()
        self._begun = 0
        self._over_memory = trio.Event()
        self._continued = trio.Event()
        self._leaving = False
        self._cancel_token = ""

    # What the supervisor asks of it.

    async def wait(self):
        await self.gone.wait()
        return self.status

    async def kill(self):
        if self.lingers and not self.dead.is_set():
            self.dead.set()
            await trio.sleep(LINGERING_S)
        self.end(ExitStatus(None, 9, lingers=self.lingers))
        return await self.wait()

    async def capture_stacks(self, timeout_s=0.1):
        await trio.sleep(timeout_s)
        return "stacks"

    async def wait_over_memory(self):
        await self._over_memory.wait()
        return 1

    def memory_bytes(self):
        return 1

    def page(self):
        running = None if self.job is None else token_mark(self.job.token)
        return PageView(Phase.IDLE if running is None else Phase.RUNNING, self._begun, running, 0)

    def last_output(self):
        return ()

    # What befalls it.

    def end(self, status):
        if not self.gone.is_set():
            self.status = status
            self.dead.set()
            self.gone.set()

    def stop(self):
        self.was_stopped = True
        self.stopped_at_s = min(self.stopped_at_s, trio.current_time())

    def resume(self):
        self.stopped_at_s = math.inf
        self._continued.set()
        self._continued = trio.Event()

    def stick(self):
        self.was_stuck = True
        self.stuck_at_s = min(self.stuck_at_s, trio.current_time())

    def use_too_much_memory(self):
        self._over_memory.set()

    # What it does.

    async def run(self, supervisor):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._check_in, supervisor)
            nursery.start_soon(self._work_on_jobs, supervisor)
            await self.dead.wait()
            nursery.cancel_scope.cancel()

    async def _check_in(self, supervisor):
        while True:
            await self._while_stopped()
            token = "" if self.job is None else self.job.token
            try:
                reply = supervisor.check(
                    CheckReport(
                        self.worker_id, token, self._counter, None, "",
                        still_s=trio.current_time() - self.moved_s,
                    )
                )  # fmt: skip
            except NotFoundError:
                self.end(ExitStatus(WorkerExit.LEASE_LOST, None))
                return
            self._leaving |= reply.order in {Order.RESTART, Order.DRAIN}
            self._cancel_token = reply.cancel_token
            if self._leaving and self.job is None and not self.was_stuck:
                self.end(ExitStatus(WorkerExit.LEFT, None))
            await trio.sleep(1.0 if reply.again_in_s is None else min(1.0, reply.again_in_s))

    async def _work_on_jobs(self, supervisor):
        try:
            while not self._leaving:
                await self._step()
                reply = await supervisor.take_jobs(self.worker_id, 2, 10.0)
                self._leaving |= reply.order in {Order.RESTART, Order.DRAIN}
                jobs = deque(reply.jobs)
                while jobs and not self._leaving:
                    await self._do(supervisor, jobs.popleft())
        except NotFoundError:
            self.end(ExitStatus(WorkerExit.LEASE_LOST, None))
        else:
            self.end(ExitStatus(WorkerExit.LEFT, None))

    async def _do(self, supervisor, job):
        await self._while_stopped()
        self._host.assert_runs_nowhere(job.job_id)
        self.job = job
        self.moved_s = trio.current_time()
        self._begun += 1
        work = self._host.jobs.jobs[job.job_id]
        end_s = trio.current_time() + work.work_s
        while trio.current_time() < end_s and self._cancel_token != job.token:
            await self._step(work.step_s)
        cancelled = self._cancel_token == job.token
        self.job = None
        if cancelled:
            failure = JobFailure(job.job_id, job.token, "cancelled", "", permanent=True, stack="")
            await supervisor.fail(self.worker_id, failure)
        else:
            await supervisor.complete(self.worker_id, [JobResult(job.job_id, job.token)])

    async def _step(self, step_s=STEP_S):
        if self.was_stuck:
            await trio.sleep_forever()
        await trio.sleep(step_s)
        await self._while_stopped()
        self.moved_s = trio.current_time()
        self._counter += 1

    async def _while_stopped(self):
        while self.stopped_at_s < math.inf:
            await self._continued.wait()


class VirtualHost:
    """A `Host` of virtual workers. `problem` keeps them from starting, `slow_s` delays them."""

    name = "local"

    def __init__(self):
        self.workers = []
        self.problem = ""
        self.before_s = self.after_s = 0.0
        self.supervisor = None
        self.jobs = None
        self.nursery = None

    async def spawn(self, spec):
        await trio.sleep(self.before_s)
        if self.problem:
            raise StartFailedError(self.problem)
        self.assert_none_runs(spec.slot)
        worker = VirtualWorker(spec, 100 + len(self.workers), self)
        self.workers.append(worker)
        self.nursery.start_soon(worker.run, self.supervisor)
        try:
            # It may check in before its starter hears of it.
            await trio.sleep(self.after_s)
        except trio.Cancelled:
            worker.end(ExitStatus(None, 9))
            raise
        return worker

    def living(self, slot=None):
        return [w for w in self.workers if not w.dead.is_set() and slot in {None, w.slot}]

    def assert_none_runs(self, slot):
        assert not self.living(slot), "what a living worker held is taken from it"

    def assert_runs_nowhere(self, job_id):
        running = [w for w in self.living() if w.job is not None and w.job.job_id == job_id]
        assert not running, "a job runs in two living workers"


FAILURES = frozenset({Cause.DIED, Cause.SILENT, Cause.STALLED, Cause.MEMORY, Cause.START_FAILED})
"""Causes that count against a slot."""
