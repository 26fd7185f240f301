"""What must change in Redis for the queue to be what the engine knows it to be. Pure."""

from collections.abc import Mapping

import attrs
import msgspec

from engine.jobs.endings import cancelled_outcome, finish_change
from engine.jobs.history import JobFacts
from engine.jobs.journal import EndedAttempt, Outcome
from engine.jobs.leases import LeaseTable, lease_of
from engine.jobs.queue_records import (
    Change,
    Enqueue,
    Finish,
    Forget,
    GiveBack,
    LiveRecord,
    LiveState,
    Restore,
    read_spec,
)
from engine.jobs.queued import queued_record, spec_of
from engine.jobs.retries import Decision
from engine.jobs.settings import JobsSettings
from engine.jobs.spec import AttemptEnd
from engine.jobs.states import Cause


@attrs.frozen
class Known:
    """What the engine knows besides the data file, at one moment."""

    leases: LeaseTable
    pending: Mapping[str, Change]
    """Changes that are still to be carried out, the last of each job."""
    engine_mark: str
    """What the tokens of this life of the engine begin with."""
    now_us: int
    settings: JobsSettings
    is_first: bool
    """Whether this engine has only just come to the queue."""


@attrs.define
class Plan:
    """Changes, and what has to be on disk before they are made."""

    changes: list[Change] = attrs.field(factory=list)
    lost: list[EndedAttempt] = attrs.field(factory=list)
    """Attempts that ended with the engine that watched over them."""
    cancelled: list[tuple[JobFacts, Outcome]] = attrs.field(factory=list)
    """Jobs whose cancellation that engine could not bring to an end."""


def plan_unfinished(
    facts: Mapping[str, JobFacts], found: Mapping[str, LiveRecord], known: Known
) -> Plan:
    """Plan for jobs that the data file knows as accepted and unfinished.

    Args:
      facts: by job id.
      found: what Redis has of them.
    """
    plan = Plan()
    for job_id, of_job in facts.items():
        _plan_job(plan, of_job, found.get(job_id), known)
    return plan


def plan_found(
    found: Mapping[str, LiveRecord], facts: Mapping[str, JobFacts], known: Known
) -> list[Change]:
    """Plan for jobs that Redis takes for unfinished: those that have ended, or never began."""
    changes: list[Change] = []
    for job_id, record in found.items():
        of_job = facts.get(job_id)
        if of_job is None:
            changes.append(Forget(job_id))
        elif of_job.outcome is not None and record.run <= of_job.run:
            changes.append(_finish(of_job, of_job.outcome, record, known))
    return changes


def _plan_job(plan: Plan, facts: JobFacts, record: LiveRecord | None, known: Known) -> None:
    pending = known.pending.get(facts.job_id)
    lease = known.leases.get(facts.job_id)
    match pending:
        case Enqueue():
            return  # it will put the job in
        case Finish(run=facts.run):
            # What was read is from before it ended. Whoever holds it in Redis, it ends.
            if record is not None:
                plan.changes.append(msgspec.structs.replace(pending, token=""))
            return
        case GiveBack(run=facts.run):
            if record is None or record.token != pending.token:
                given_back = _given_back(facts, pending, known)
                plan.changes.append(Restore(facts.job_id, given_back, spec_of(facts)))
            return
        case _:
            pass  # nothing, or about an earlier run
    if lease is not None:
        if record is None or record.state != LiveState.LEASED or record.token != lease.claim:
            plan.changes.append(Restore(facts.job_id, lease.record, spec_of(facts)))
    elif record is not None and _ended_with_its_engine(record, facts, known):
        _plan_lost(plan, facts, record, known)
    elif facts.cancel_requested:
        _plan_cancelled(plan, facts, record, known)
    else:
        queued = queued_record(facts, known.now_us)
        if record is None or not _agrees(record, queued, known):
            plan.changes.append(Restore(facts.job_id, queued, spec_of(facts)))


def _ended_with_its_engine(record: LiveRecord, facts: JobFacts, known: Known) -> bool:
    """Tell whether an attempt was under way when an earlier engine ended, and nobody noted that.

    A lease of this engine that it does not know was never handed out: the claim's answer was lost.
    """
    return (
        record.state == LiveState.LEASED
        and record.run == facts.run
        and record.attempt > facts.attempt
        and not record.token.startswith(known.engine_mark)
    )


def _plan_lost(plan: Plan, facts: JobFacts, record: LiveRecord, known: Known) -> None:
    spec = read_spec(spec_of(facts).encode())
    lease = lease_of(facts.job_id, record, spec, slot=record.slot, claimed_at_us=record.since_us)
    end = AttemptEnd(
        cause=Cause.ENGINE_LOST,
        detail="the engine ended while the job was running",
        started_at_us=record.since_us,
    )
    attempt = EndedAttempt(
        lease.job, record.slot, end, Decision(None, facts.failures), due_at_us=None
    )
    plan.lost.append(attempt)
    if facts.cancel_requested:
        after = attrs.evolve(facts, attempt=record.attempt)
        _plan_cancelled(plan, after, record, known)
        return
    queued = queued_record(
        attrs.evolve(facts, attempt=record.attempt, due_at_us=None), known.now_us
    )
    plan.changes.append(Restore(facts.job_id, queued, spec_of(facts)))


def _plan_cancelled(plan: Plan, facts: JobFacts, record: LiveRecord | None, known: Known) -> None:
    outcome = cancelled_outcome(facts, known.now_us)
    plan.cancelled.append((facts, outcome))
    if record is not None:
        plan.changes.append(_finish(facts, outcome, record, known))


def _finish(facts: JobFacts, outcome: Outcome, record: LiveRecord, known: Known) -> Finish:
    change = finish_change(outcome, facts.pool, "", known.settings, known.now_us)
    # Redis may still have an earlier run: that one is over too.
    return msgspec.structs.replace(change, run=record.run)


def _given_back(facts: JobFacts, pending: GiveBack, known: Known) -> LiveRecord:
    return msgspec.structs.replace(
        queued_record(facts, known.now_us),
        state=pending.state,
        slot=pending.slot,
        attempt=pending.attempt,
        failures=pending.failures,
        due_us=pending.due_us,
    )


def _agrees(record: LiveRecord, queued: LiveRecord, known: Known) -> bool:
    """Tell whether a record can stay as it is, for a job that nobody holds."""
    same = (record.run, record.attempt, record.failures, record.place, record.pool) == (
        queued.run,
        queued.attempt,
        queued.failures,
        queued.place,
        queued.pool,
    )
    match record.state:
        case LiveState.READY:
            return same
        case LiveState.DELAYED:
            return same and record.due_us <= queued.due_us
        case LiveState.RESERVED:
            # The slots of an earlier engine do not come back.
            return same and not known.is_first
        case _:
            return False
