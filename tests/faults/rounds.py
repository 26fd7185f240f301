"""One round: jobs and faults at the same time, then a look at everything."""

import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Final

import attrs
import grpc
import trio

from proto.trellis.v1 import jobs_pb2
from tests.faults.effects import Ended
from tests.faults.job_audit import (
    Circumstances,
    JobFindings,
    OutsideFault,
    audit_job,
    find_changes,
    find_overlaps,
    of_last_run,
    runs_by_job,
)
from tests.faults.job_log import Entry, read_log
from tests.faults.leaks import LeakCheck
from tests.faults.misdeeds import TO_BE_CANCELLED
from tests.faults.plan import PlannedFault, PlannedJob, RoundPlan
from tests.faults.registry import Fault, NothingToHitError
from tests.faults.world import World

FINAL_S: Final = 120.0
"""For all jobs of a round to end, from the last submission."""
_POLL_S: Final = 0.2
_FINAL: Final = frozenset(
    {
        jobs_pb2.JOB_STATE_SUCCEEDED,
        jobs_pb2.JOB_STATE_FAILED,
        jobs_pb2.JOB_STATE_CANCELLED,
        jobs_pb2.JOB_STATE_DEAD,
    }
)


@attrs.define
class RoundOutcome:
    """What happened in a round."""

    number: int
    seconds: float = 0.0
    jobs: dict[str, PlannedJob] = attrs.field(factory=dict)
    ended: dict[str, Ended] = attrs.field(factory=dict)
    by_jobs: Counter[str] = attrs.field(factory=Counter)
    """Faults that jobs committed, by name."""
    from_outside: list[OutsideFault] = attrs.field(factory=list)
    findings: JobFindings = attrs.field(factory=JobFindings)
    stuck: bool = False
    """A job did not end: whatever comes after it says nothing."""

    @property
    def fault_count(self) -> int:
        return self.by_jobs.total() + len(self.from_outside)


class Round:
    """Carries out a plan in a world, once."""

    def __init__(self, world: World, plan: RoundPlan, faults: Mapping[str, Fault]) -> None:
        self._world = world
        self._plan = plan
        self._faults = faults
        self._outcome = RoundOutcome(plan.number)
        self._began_s = trio.current_time()
        self._ended: dict[str, jobs_pb2.Job] = {}
        """As they were at the end of their last run."""
        self._ended_before: dict[str, jobs_pb2.Job] = {}
        """Those that were retried, as they were at the end of their first run."""
        self._retried_ns: dict[str, int] = {}

    async def run(self, leaks: LeakCheck) -> RoundOutcome:
        """Do it, audit what happened, and return that."""
        outcome = self._outcome
        async with trio.open_nursery() as nursery:
            for planned in self._plan.faults:
                nursery.start_soon(self._inject, planned)
            async with trio.open_nursery() as cancelling:
                cancelling.start_soon(self._cancel_what_waits_for_it)
                await self._submit()
                outcome.stuck = not (
                    await self._wait_final() and await self._retry() and await self._wait_final()
                )
                cancelling.cancel_scope.cancel()
        self._audit()
        found = await leaks.look(self._world)
        found += self._world.target.violations
        self._world.target.violations.clear()
        outcome.findings.violations += found
        outcome.seconds = trio.current_time() - self._began_s
        return outcome

    async def _submit(self) -> None:
        for job in self._plan.jobs:
            await trio.sleep_until(self._began_s + job.after_s)
            submit = partial(self._world.api.submit, job, self._world.log_folder)
            job_id = await trio.to_thread.run_sync(submit)
            self._outcome.jobs[job_id] = job

    async def _inject(self, planned: PlannedFault) -> None:
        await trio.sleep_until(self._began_s + planned.after_s)
        fault = self._faults[planned.name]
        began_ns = time.monotonic_ns()
        record = OutsideFault(planned.name, "under way", began_ns, 1 << 63, fault.may_cause)
        try:
            description = await fault.inject(self._world.target, planned.rng)
        except NothingToHitError:
            return
        except (trio.TooSlowError, grpc.RpcError) as error:
            description = f"could not be injected: {error!r}"
            self._outcome.findings.violations.append(f"{planned.name} {description}")
        record = attrs.evolve(record, description=description, ended_ns=time.monotonic_ns())
        self._outcome.from_outside.append(record)

    async def _retry(self) -> bool:
        """Retry what has not succeeded, as clients would that want it to; return True."""
        for job_id, job in sorted(self._ended.items()):
            again = self._outcome.jobs[job_id].is_repeated
            if again and job.state != jobs_pb2.JOB_STATE_SUCCEEDED:
                self._ended_before[job_id] = self._ended.pop(job_id)
                self._retried_ns[job_id] = time.monotonic_ns()
                await trio.to_thread.run_sync(self._world.api.retry, job_id, job.run + 1)
        return True

    async def _cancel_what_waits_for_it(self) -> None:
        """Cancel jobs that go on until somebody does, as soon as they have begun to."""
        cancelled: set[tuple[str, int]] = set()
        while True:
            for entry in await self._read_log():
                waits = entry.event == "fault" and entry.facts["misdeed"] in TO_BE_CANCELLED
                if waits and (entry.job_id, entry.at_ns) not in cancelled:
                    cancelled.add((entry.job_id, entry.at_ns))
                    await trio.to_thread.run_sync(self._world.api.cancel, entry.job_id)
            await trio.sleep(_POLL_S)

    async def _wait_final(self) -> bool:
        """Wait until all jobs have ended; return whether they have."""
        with trio.move_on_after(FINAL_S):
            while waiting := self._outcome.jobs.keys() - self._ended.keys():
                for job_id in sorted(waiting):
                    job = await trio.to_thread.run_sync(self._world.api.get, job_id)
                    if job.state in _FINAL:
                        self._ended[job_id] = job
                await trio.sleep(_POLL_S)
            return True
        return False

    async def _read_log(self) -> list[Entry]:
        entries = await trio.to_thread.run_sync(read_log, self._world.log_folder)
        return [entry for entry in entries if entry.job_id in self._outcome.jobs]

    def _audit(self) -> None:
        outcome, findings = self._outcome, self._outcome.findings
        log = [e for e in read_log(self._world.log_folder) if e.job_id in outcome.jobs]
        findings.violations += find_overlaps(log)
        outcome.by_jobs.update(e.facts["misdeed"] for e in log if e.event == "fault")
        runs = runs_by_job(log)
        target = self._world.target
        circumstances = Circumstances(
            target.hits, target.engine_ends, outcome.from_outside, target.lease_s
        )
        for job_id, planned in outcome.jobs.items():
            job, before = self._ended.get(job_id), self._ended_before.get(job_id)
            retried_ns = self._retried_ns.get(job_id, 0)
            mine = runs.get(job_id, [])
            earlier = [run for run in mine if run.began_ns < retried_ns]
            if before is not None:
                audit_job(planned, before, earlier, circumstances, findings)
            if job is None:
                findings.violations.append(
                    f"job {job_id} ({planned.key}, {planned.misdeed or 'good'}) has not ended "
                    f"within {FINAL_S:g} s; its attempts: {mine}"
                )
                continue
            succeeded = job.state == jobs_pb2.JOB_STATE_SUCCEEDED
            outcome.ended[job_id] = Ended(job.run, succeeded)
            if before is not None:
                findings.violations += find_changes(before, job)
            last = of_last_run(job)
            audit_job(planned, last, mine[len(earlier) :], circumstances, findings)
