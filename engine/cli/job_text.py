"""Jobs as people and machines read them."""

import json
from collections.abc import Sequence
from typing import Any, Final

import click

from engine.cli.tables import print_table
from engine.cli.times import show_time
from engine.logs import escape_controls
from proto.trellis.v1.jobs_pb2 import Job, JobAttempt, JobState

_STATE_PREFIX: Final = "JOB_STATE_"
_FINAL_STATES: Final = frozenset(
    {
        JobState.JOB_STATE_SUCCEEDED,
        JobState.JOB_STATE_FAILED,
        JobState.JOB_STATE_CANCELLED,
        JobState.JOB_STATE_DEAD,
    }
)

STATE_NAMES: Final = tuple(
    name.removeprefix(_STATE_PREFIX).lower() for name, number in JobState.items() if number
)


def read_state(name: str) -> str:
    """Return the API's name of a state, given one of `STATE_NAMES`."""
    return _STATE_PREFIX + name.upper()


def show_state(job: Job) -> str:
    """Return where a job stands, in one word."""
    return JobState.Name(job.state).removeprefix(_STATE_PREFIX).lower()


def has_ended(job: Job) -> bool:
    """Tell whether a job's run is over."""
    return job.state in _FINAL_STATES


def has_succeeded(job: Job) -> bool:
    """Tell whether a job's effects are in the data file."""
    return job.state == JobState.JOB_STATE_SUCCEEDED


def describe_job(job: Job) -> dict[str, Any]:
    """Return a job as it is printed for machines; None where there is nothing."""
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "pool": job.pool,
        "priority": job.priority,
        "state": show_state(job),
        "run": job.run,
        "attempt": job.attempt,
        "failures": job.failures,
        "max_attempts": job.max_attempts,
        "payload": _read_json(job.payload_json),
        "result": _read_json(job.result_json),
        "error_code": job.error_code or None,
        "error_message": job.error_message or None,
        "accepted_at": _time(job, "accepted_at"),
        "due_at": _time(job, "due_at"),
        "started_at": _time(job, "started_at"),
        "finished_at": _time(job, "finished_at"),
        "worker_id": job.worker_id or None,
        "slot": job.slot or None,
        "cancel_requested": job.cancel_requested,
        "progress": job.progress,
        "progress_total": job.progress_total or None,
        "progress_note": job.progress_note or None,
        "idempotency_key": job.idempotency_key or None,
        "request_id": job.request_id or None,
        "attempts": [_describe_attempt(attempt) for attempt in job.attempts],
        "attempts_left_out": job.attempts_left_out,
    }


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print a table with a line a job."""
    if not jobs:
        click.echo("no jobs")
        return
    print_table(
        ("id", "type", "pool", "state", "attempt", "failures", "accepted", "detail"),
        [
            (
                job.job_id,
                job.job_type,
                job.pool,
                show_state(job),
                job.attempt,
                f"{job.failures}/{job.max_attempts}",
                _time(job, "accepted_at"),
                _detail(job),
            )
            for job in jobs
        ],
    )


def print_job(job: Job) -> None:
    """Print all there is to say of a job, the stacks of its attempts last."""
    facts = {
        "id": job.job_id,
        "type": job.job_type,
        "pool": job.pool,
        "state": show_state(job),
        "run": job.run,
        "attempt": job.attempt,
        "failures": f"{job.failures} of {job.max_attempts}",
        "priority": job.priority,
        "accepted": _time(job, "accepted_at"),
        "due": _time(job, "due_at"),
        "started": _time(job, "started_at"),
        "finished": _time(job, "finished_at"),
        "worker": job.worker_id,
        "slot": job.slot,
        "progress": _progress(job),
        "request": job.request_id,
        "key": job.idempotency_key,
        "payload": job.payload_json,
        "result": job.result_json,
        "error": _error(job),
    }
    print_table(
        ("field", "value"), [(name, fact) for name, fact in facts.items() if fact not in ("", None)]
    )
    if job.attempts:
        click.echo()
        if job.attempts_left_out:
            click.echo(f"{job.attempts_left_out:,} earlier attempts are not shown")
        print_table(
            ("run", "attempt", "cause", "charged", "worker", "pid", "ended", "detail"),
            [
                (
                    attempt.run,
                    attempt.attempt,
                    attempt.cause,
                    "yes" if attempt.charged else "no",
                    attempt.worker_id,
                    attempt.pid or None,
                    _time(attempt, "ended_at"),
                    attempt.detail,
                )
                for attempt in job.attempts
            ],
        )
    for attempt in job.attempts:
        if attempt.stack:
            print_stack(f"run {attempt.run}, attempt {attempt.attempt}:", attempt.stack)


def print_stack(heading: str, stack: str) -> None:
    """Print a stack below a heading, line by line."""
    click.echo(f"\n{heading}")
    for line in stack.split("\n"):
        click.echo(f"  {escape_controls(line)}".rstrip())


def show_change(job: Job) -> str:
    """Return one line that says how a job is doing, safe to print."""
    parts = [show_state(job), f"run {job.run}, attempt {job.attempt}", _progress(job), _detail(job)]
    return escape_controls("  ".join(part for part in dict.fromkeys(parts) if part))


def _detail(job: Job) -> str:
    if not has_ended(job):
        asked = "cancelling" if job.cancel_requested else ""
        due = f"due {_time(job, 'due_at')}" if job.HasField("due_at") else ""
        return asked or due or _progress(job)
    return _error(job)


def _error(job: Job) -> str:
    return f"{job.error_code}: {job.error_message}" if job.error_code else job.error_message


def _progress(job: Job) -> str:
    if job.progress_total:
        counted = f"{job.progress:,} of {job.progress_total:,}"
    else:
        counted = f"{job.progress:,}" if job.progress else ""
    return ", ".join(part for part in (counted, job.progress_note) if part)


def _describe_attempt(attempt: JobAttempt) -> dict[str, Any]:
    return {
        "run": attempt.run,
        "attempt": attempt.attempt,
        "cause": attempt.cause,
        "charged": attempt.charged,
        "worker_id": attempt.worker_id or None,
        "slot": attempt.slot or None,
        "pid": attempt.pid or None,
        "started_at": _time(attempt, "started_at"),
        "ended_at": _time(attempt, "ended_at"),
        "detail": attempt.detail,
        "stack": attempt.stack or None,
    }


def _time(message: Job | JobAttempt, field: str) -> str | None:
    return show_time(getattr(message, field)) if message.HasField(field) else None


def _read_json(text: str) -> Any:
    return json.loads(text) if text else None
