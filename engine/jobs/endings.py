"""How an attempt ends: the rows it leaves, and what the queue is told. Pure."""

import json
from collections.abc import Callable

import attrs
import msgspec

from engine.errors import TrellisError
from engine.jobs.history import JobFacts
from engine.jobs.hooks import EndedJob
from engine.jobs.journal import EndedAttempt, Outcome
from engine.jobs.leases import Lease
from engine.jobs.queue_records import Change, FinalRecord, Finish, GiveBack, LiveState
from engine.jobs.retries import Decision
from engine.jobs.settings import JobsSettings
from engine.jobs.spec import AttemptEnd, ClaimedJob, JobFailure, JobResult
from engine.jobs.states import Cause, JobState
from engine.records import Operation

_MOST_BODY_CHARACTERS = 64 * 1024
"""Larger results are kept in the data file alone: Redis holds everything in memory."""


@attrs.frozen
class Ending:
    """The end of one lease, to be written and then told to the queue."""

    lease: Lease
    state: JobState
    """Where the job stands afterwards."""
    change: Change
    attempt: EndedAttempt | None = None
    outcome: Outcome | None = None
    operations: tuple[Operation, ...] = ()
    """Of the job type's hook; they land with the rows above or not at all."""
    otherwise: "Callable[[TrellisError], Ending] | None" = None
    """How the lease ends instead if the data file refuses this."""


def end_with_result(
    lease: Lease,
    result: JobResult,
    operations: tuple[Operation, ...],
    otherwise: Callable[[TrellisError], Ending] | None,
    settings: JobsSettings,
    now_us: int,
) -> Ending:
    """Return the end of a job that has succeeded."""
    job = lease.job
    outcome = Outcome(
        job_id=job.job_id,
        run=job.run,
        state=JobState.SUCCEEDED,
        attempt=job.attempt,
        failures=job.failures,
        finished_at_us=now_us,
        result_json=result.result_json,
        worker_id=result.worker_id,
        slot=lease.slot,
        pid=result.pid,
        started_at_us=result.started_at_us or lease.claimed_at_us,
    )
    change = finish_change(outcome, job.pool, lease.claim, settings, now_us)
    return Ending(
        lease,
        JobState.SUCCEEDED,
        change,
        outcome=outcome,
        operations=operations,
        otherwise=otherwise,
    )


def end_with_failure(
    lease: Lease, failure: JobFailure, decision: Decision, settings: JobsSettings, now_us: int
) -> Ending:
    """Return the end of an attempt whose handler reported an error."""
    if decision.final is JobState.CANCELLED:
        cause = Cause.CANCELLED
    elif failure.out_of_reach:
        cause = Cause.OUT_OF_REACH
    else:
        cause = Cause.ERROR
    end = AttemptEnd(
        cause=cause,
        detail=f"{failure.code}: {failure.message}",
        stack=failure.stack,
        charged=decision.failures > lease.job.failures,
        worker_id=failure.worker_id,
        pid=failure.pid,
        started_at_us=failure.started_at_us or lease.claimed_at_us,
    )
    due_us = now_us + round(decision.delay_s * 1e6) if decision.delay_s else 0
    attempt = EndedAttempt(lease.job, lease.slot, end, decision, due_us or None)
    if decision.final is None:
        state = LiveState.DELAYED if due_us else LiveState.READY
        change = _give_back(lease, state, "", decision.failures, due_us)
        scheduled = JobState.SCHEDULED if due_us else JobState.QUEUED
        return Ending(lease, scheduled, change, attempt)
    return _end_for_good(lease, attempt, failure.code, failure.message, settings, now_us)


def end_with_loss(
    lease: Lease,
    end: AttemptEnd,
    decision: Decision,
    settings: JobsSettings,
    now_us: int,
    *,
    to_slot: bool,
) -> Ending:
    """Return the end of an attempt whose worker is gone.

    Args:
      to_slot: the slot that held it is to have it again, rather than whoever asks first.
    """
    end = attrs.evolve(
        end,
        worker_id=end.worker_id or lease.worker_id,
        started_at_us=end.started_at_us or lease.claimed_at_us,
    )
    attempt = EndedAttempt(lease.job, lease.slot, end, decision, None)
    if decision.final is None:
        change = _return(lease, decision.failures, lease.job.attempt, to_slot=to_slot)
        return Ending(lease, JobState.QUEUED, change, attempt)
    code = Cause.CANCELLED if decision.final is JobState.CANCELLED else end.cause
    return _end_for_good(lease, attempt, str(code), end.detail, settings, now_us)


def end_unbegun(lease: Lease, *, to_slot: bool) -> Ending:
    """Return the end of a lease on a job that nobody has begun: as if there had been none."""
    change = _return(lease, lease.job.failures, lease.job.attempt - 1, to_slot=to_slot)
    return Ending(lease, JobState.QUEUED, change)


def finish_change(
    outcome: Outcome, pool: str, token: str, settings: JobsSettings, now_us: int
) -> Finish:
    """Return what tells the queue of an outcome.

    Args:
      token: of the claim that held the job; empty to end it whoever holds it.
    """
    body = outcome.result_json
    if body is None:
        body = json.dumps({"code": outcome.error_code, "message": outcome.error_message})
    final = FinalRecord(
        state=str(outcome.state),
        run=outcome.run,
        attempt=outcome.attempt,
        failures=outcome.failures,
        pool=pool,
        body=body if len(body) <= _MOST_BODY_CHARACTERS else "",
        since_us=now_us,
    )
    expires_at_us = now_us + round(settings.result_ttl_s * 1e6)
    return Finish(outcome.job_id, outcome.run, token, final, expires_at_us)


def cancelled_outcome(facts: JobFacts, now_us: int) -> Outcome:
    """Return the outcome of a job that was cancelled while nobody held it."""
    return Outcome(
        job_id=facts.job_id,
        run=facts.run,
        state=JobState.CANCELLED,
        attempt=facts.attempt,
        failures=facts.failures,
        finished_at_us=now_us,
        error_code=str(Cause.CANCELLED),
        error_message="cancelled while it was not running",
    )


def ended_held(job: ClaimedJob, outcome: Outcome) -> EndedJob:
    """Return what a failure hook is told of a job that ended in somebody's hands."""
    return _ended(job.job_type, job.payload_json, outcome)


def ended_unheld(facts: JobFacts, outcome: Outcome) -> EndedJob:
    """Return what a failure hook is told of a job that ended in nobody's hands."""
    return _ended(facts.job_type, facts.payload_json, outcome)


def _ended(job_type: str, payload_json: str, outcome: Outcome) -> EndedJob:
    return EndedJob(
        job_id=outcome.job_id,
        run=outcome.run,
        job_type=job_type,
        payload_json=payload_json,
        state=outcome.state,
        code=outcome.error_code or "",
        message=outcome.error_message or "",
    )


def _end_for_good(
    lease: Lease,
    attempt: EndedAttempt,
    code: str,
    message: str,
    settings: JobsSettings,
    now_us: int,
) -> Ending:
    decision, job = attempt.decision, lease.job
    assert decision.final is not None
    outcome = Outcome(
        job_id=job.job_id,
        run=job.run,
        state=decision.final,
        attempt=job.attempt,
        failures=decision.failures,
        finished_at_us=now_us,
        error_code=code,
        error_message=message,
        worker_id=attempt.end.worker_id,
        slot=lease.slot,
        pid=attempt.end.pid,
        started_at_us=attempt.end.started_at_us,
    )
    change = finish_change(outcome, job.pool, lease.claim, settings, now_us)
    return Ending(lease, decision.final, change, attempt, outcome)


def _return(lease: Lease, failures: int, attempt: int, *, to_slot: bool) -> GiveBack:
    if to_slot:
        given_back = _give_back(lease, LiveState.RESERVED, lease.slot, failures, 0)
    else:
        given_back = _give_back(lease, LiveState.READY, "", failures, 0)
    return msgspec.structs.replace(given_back, attempt=attempt)


def _give_back(lease: Lease, state: LiveState, slot: str, failures: int, due_us: int) -> GiveBack:
    job = lease.job
    return GiveBack(job.job_id, job.run, lease.claim, state, slot, job.attempt, failures, due_us)
