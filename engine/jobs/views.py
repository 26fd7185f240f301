"""A job as clients see it: what is on disk, joined with what is going on. Pure."""

import attrs

from engine.jobs.history import JobFacts, PastAttempt, PastAttempts
from engine.jobs.leases import Lease
from engine.jobs.queue_records import LiveRecord, LiveState
from engine.jobs.spec import Progress
from engine.jobs.states import JobState

_NO_ATTEMPTS = PastAttempts()


@attrs.frozen
class JobView:
    """A job at a moment. Times in microseconds, UTC; None where there is none."""

    job_id: str
    run: int
    state: JobState
    job_type: str
    pool: str
    priority: int
    payload_json: str
    request_id: str
    idempotency_key: str | None
    attempt: int
    """Of this run: the one under way, or the last one."""
    failures: int
    max_attempts: int
    accepted_at_us: int
    due_at_us: int | None
    started_at_us: int | None
    finished_at_us: int | None
    cancel_requested: bool
    slot: str
    worker_id: str
    result_json: str | None
    error_code: str | None
    error_message: str | None
    progress: Progress | None = None
    attempts: tuple[PastAttempt, ...] = ()
    """The latest of those of all runs that have ended, in order, where they were asked for."""
    attempts_left_out: int = 0
    """How many there were before."""
    traceparent: str = ""
    """Of the span in which it was accepted; empty if that is not recorded."""


def build_view(
    facts: JobFacts,
    *,
    lease: Lease | None,
    live: LiveRecord | None,
    now_us: int,
    attempts: PastAttempts = _NO_ATTEMPTS,
) -> JobView:
    """Join what is known of a job.

    Args:
      facts: from the data file; what they say of an end is the last word.
      lease: in this engine, which then knows best what is going on.
      live: from Redis; None if it has none or is away.
    """
    if live is not None and live.run != facts.run:
        live = None
    outcome = facts.outcome
    if outcome is not None:
        return attrs.evolve(
            _view(facts, outcome.state, outcome.attempt, outcome.failures, attempts),
            started_at_us=outcome.started_at_us,
            finished_at_us=outcome.finished_at_us,
            slot=outcome.slot or "",
            worker_id=outcome.worker_id or "",
            result_json=outcome.result_json,
            error_code=outcome.error_code,
            error_message=outcome.error_message,
        )
    if lease is not None and lease.job.run == facts.run:
        running = _view(facts, JobState.RUNNING, lease.job.attempt, lease.job.failures, attempts)
        running = attrs.evolve(running, started_at_us=lease.claimed_at_us, slot=lease.slot)
        return show_progress(running, lease)
    due_at_us = _read_due(facts, live, now_us)
    state = JobState.QUEUED if due_at_us is None else JobState.SCHEDULED
    view = _view(facts, state, facts.attempt, facts.failures, attempts)
    return attrs.evolve(view, due_at_us=due_at_us)


def show_progress(view: JobView, lease: Lease) -> JobView:
    """Return the view of a running job brought up to date with its lease."""
    return attrs.evolve(
        view,
        cancel_requested=view.cancel_requested or lease.cancel_requested,
        worker_id=lease.worker_id,
        progress=lease.progress,
    )


def _read_due(facts: JobFacts, live: LiveRecord | None, now_us: int) -> int | None:
    if live is not None:
        return live.due_us if live.state == LiveState.DELAYED else None
    if facts.due_at_us is not None and facts.due_at_us > now_us:
        return facts.due_at_us
    return None


def _view(
    facts: JobFacts,
    state: JobState,
    attempt: int,
    failures: int,
    attempts: PastAttempts,
) -> JobView:
    return JobView(
        job_id=facts.job_id,
        run=facts.run,
        state=state,
        job_type=facts.job_type,
        pool=facts.pool,
        priority=facts.priority,
        payload_json=facts.payload_json,
        request_id=facts.request_id,
        idempotency_key=facts.idempotency_key,
        attempt=attempt,
        failures=failures,
        max_attempts=facts.max_attempts,
        accepted_at_us=facts.accepted_at_us,
        due_at_us=None,
        started_at_us=None,
        finished_at_us=None,
        cancel_requested=facts.cancel_requested,
        slot="",
        worker_id="",
        result_json=None,
        error_code=None,
        error_message=None,
        attempts=attempts.shown,
        attempts_left_out=attempts.left_out,
        traceparent=facts.traceparent,
    )
