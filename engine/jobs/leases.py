"""Who holds which job, as the engine knows it: the first fence against stale results. Pure."""

from collections.abc import Iterable, Iterator

import attrs
import trio

from engine.errors import StaleTokenError
from engine.jobs.queue_records import LiveRecord, LiveState, Spec
from engine.jobs.retries import AttemptFacts
from engine.jobs.spec import ClaimedJob, Progress, RunningJob
from engine.tracing import NO_SPAN, Span


@attrs.define(eq=False)
class Lease:
    """A job in the hands of a slot."""

    job: ClaimedJob
    slot: str
    claim: str
    """The token of the claim, by which Redis fences all jobs of it."""
    record: LiveRecord
    spec: Spec
    claimed_at_us: int
    cancel_requested: bool = False
    ending: trio.Event | None = None
    """Set once its end is written; while there is one, nothing else may end it."""
    worker_id: str = ""
    progress: Progress | None = None
    span: Span = NO_SPAN
    """Of the attempt."""

    @property
    def facts(self) -> AttemptFacts:
        job = self.job
        return AttemptFacts(job.attempt, job.failures, job.max_attempts, self.cancel_requested)

    @property
    def running_job(self) -> RunningJob:
        """What there is to see of it."""
        job = self.job
        return RunningJob(
            job_id=job.job_id,
            job_type=job.job_type,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            started_at_us=self.claimed_at_us,
            progress=self.progress,
            cancel_requested=self.cancel_requested,
        )

    def note(self, told: Progress) -> bool:
        """Note what the worker says; return False if it has said the same before."""
        seen = self.progress
        if seen is not None and attrs.evolve(seen, since_us=told.since_us) == told:
            return False
        self.progress = told
        return True


class LeaseTable:
    """All leases of this engine, by job and by slot."""

    def __init__(self) -> None:
        self._by_job: dict[str, Lease] = {}
        self._by_slot: dict[str, dict[str, Lease]] = {}

    def __len__(self) -> int:
        return len(self._by_job)

    def __iter__(self) -> Iterator[Lease]:
        return iter(tuple(self._by_job.values()))

    def add(self, lease: Lease) -> None:
        """Note a lease; a job has one at most."""
        assert lease.job.job_id not in self._by_job
        self._by_job[lease.job.job_id] = lease
        self._by_slot.setdefault(lease.slot, {})[lease.job.job_id] = lease

    def remove(self, lease: Lease) -> None:
        """Forget a lease that has ended."""
        del self._by_job[lease.job.job_id]
        of_slot = self._by_slot[lease.slot]
        del of_slot[lease.job.job_id]
        if not of_slot:
            del self._by_slot[lease.slot]

    def get(self, job_id: str) -> Lease | None:
        """Return the lease of a job, if somebody holds it."""
        return self._by_job.get(job_id)

    def of_slot(self, slot: str) -> tuple[Lease, ...]:
        """Return what a slot holds, in the order it was given."""
        return tuple(self._by_slot.get(slot, {}).values())

    def check(self, slot: str, job_id: str, token: str) -> Lease:
        """Return the lease that a token is of.

        Raises:
          StaleTokenError: the job was taken from the slot, or has ended.
        """
        lease = self._by_job.get(job_id)
        if lease is None or lease.slot != slot or lease.job.token != token:
            raise StaleTokenError(job_id)
        return lease


def lease_of(
    job_id: str, record: LiveRecord, spec: Spec, *, slot: str, claimed_at_us: int
) -> Lease:
    """Return the lease that a record of Redis stands for."""
    assert record.state == LiveState.LEASED
    job = ClaimedJob(
        job_id=job_id,
        run=record.run,
        attempt=record.attempt,
        # Redis fences a claim as a whole; a worker is to be told by its token which job it runs.
        token=f"{record.token}-{job_id}",
        job_type=spec.job_type,
        payload_json=bytes(spec.payload).decode(),
        failures=record.failures,
        accepted_at_us=spec.accepted_at_us,
        request_id=spec.request_id,
        pool=record.pool,
        max_attempts=spec.max_attempts,
        priority=spec.priority,
        traceparent=spec.traceparent,
    )
    return Lease(job, slot, record.token, record, spec, claimed_at_us)


def jobs_of(leases: Iterable[Lease]) -> list[ClaimedJob]:
    """Return the jobs of leases."""
    return [lease.job for lease in leases]
