"""Jobs as the Console shows them, times in microseconds, UTC. Pure."""

from typing import Any

import msgspec

from engine.jobs import JobView, PastAttempt
from engine.jobs.excerpts import cut_text

_MOST_TEXT_CHARACTERS = 16_000


class Attempt(msgspec.Struct, frozen=True):
    """An attempt at a job that has ended."""

    run: int
    attempt: int
    cause: str
    charged: bool
    slot: str
    pid: int | None
    started_at_us: int | None
    ended_at_us: int
    detail: str
    stack: str


class Job(msgspec.Struct, frozen=True):
    """A job; long texts are cut, and those of a list are left out."""

    job_id: str
    job_type: str
    pool: str
    state: str
    run: int
    attempt: int
    failures: int
    max_attempts: int
    accepted_at_us: int
    due_at_us: int | None
    started_at_us: int | None
    finished_at_us: int | None
    slot: str
    cancel_requested: bool
    request_id: str
    error_code: str
    error_message: str
    progress: int | None
    progress_total: int | None
    note: str
    payload: str = ""
    result: str = ""
    attempts: tuple[Attempt, ...] = ()
    attempts_left_out: int = 0


class JobList(msgspec.Struct, frozen=True):
    """Some jobs, the latest first."""

    jobs: tuple[Job, ...]
    next_before: str


def show_job(view: JobView, *, whole: bool) -> Job:
    """Return a job.

    Args:
      whole: with payload, result and attempts.
    """
    progress = view.progress
    job = Job(
        job_id=view.job_id,
        job_type=view.job_type,
        pool=view.pool,
        state=view.state.value,
        run=view.run,
        attempt=view.attempt,
        failures=view.failures,
        max_attempts=view.max_attempts,
        accepted_at_us=view.accepted_at_us,
        due_at_us=view.due_at_us,
        started_at_us=view.started_at_us,
        finished_at_us=view.finished_at_us,
        slot=view.slot,
        cancel_requested=view.cancel_requested and not view.state.is_final,
        request_id=view.request_id,
        error_code=view.error_code or "",
        error_message=_cut(view.error_message or ""),
        progress=None if progress is None else progress.counter,
        progress_total=None if progress is None else progress.total,
        note="" if progress is None else progress.note,
    )
    if not whole:
        return job
    more: dict[str, Any] = {
        "payload": _cut(view.payload_json),
        "result": _cut(view.result_json or ""),
        "attempts": tuple(_show_attempt(past) for past in reversed(view.attempts)),
        "attempts_left_out": view.attempts_left_out,
    }
    return msgspec.structs.replace(job, **more)


def _show_attempt(past: PastAttempt) -> Attempt:
    return Attempt(
        run=past.run,
        attempt=past.attempt,
        cause=str(past.cause),
        charged=past.charged,
        slot=past.slot,
        pid=past.pid,
        started_at_us=past.started_at_us,
        ended_at_us=past.ended_at_us,
        detail=past.detail,
        stack=_cut(past.stack),
    )


def _cut(text: str) -> str:
    return cut_text(text, _MOST_TEXT_CHARACTERS)
