"""Slots as the Console shows them, times in microseconds, UTC. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from engine.console.snapshot import LastEnd, RunningJob, Worker
from engine.errors import NotFoundError
from engine.jobs import RunningJob as JobInHand
from engine.jobs.excerpts import cut_text
from engine.workers.views import WorkerView

_MOST_STACK_CHARACTERS = 16_000


class Replacement(msgspec.Struct, frozen=True):
    """The end of a worker, who took its place, and what became of its job."""

    ended_at_us: int
    worker_id: str
    slot: str
    pool: str
    host: str
    pid: int | None
    cause: str
    detail: str
    stack: str
    replaced_at_us: int | None
    """None: nobody has taken its place yet."""
    next_worker_id: str | None
    next_pid: int | None
    job_id: str | None
    """What it had in hand, if anything."""
    job_type: str | None
    attempt: int | None
    job_state: str | None
    """None: the job goes on."""
    job_last_attempt: int | None
    job_last_slot: str | None


class LastStack(msgspec.Struct, frozen=True):
    """The stacks of a slot's worker before this one when it ended; empty if nobody knows."""

    stack: str


def show_workers(
    views: Iterable[WorkerView], find_job: Callable[[str], JobInHand | None]
) -> tuple[Worker, ...]:
    """Return the slots with what each worker has in hand, as people count: any-2 before any-10.

    Args:
      find_job: returns a running job by its id, None if it has just ended.
    """
    return tuple(
        _show(view, find_job(view.job_id) if view.job_id else None)
        for view in sorted(views, key=_place)
    )


def _place(view: WorkerView) -> tuple[str, int, str]:
    name, _, number = view.slot.rpartition("-")
    return name, int(number) if number.isdecimal() else 0, view.slot


def find_stack(views: Iterable[WorkerView], slot: str) -> LastStack:
    """Return where the worker before a slot's present one was when it ended.

    Raises: NotFoundError: there is no such slot.
    """
    for view in views:
        if view.slot == slot:
            stack = "" if view.last_end is None else view.last_end.stack
            return LastStack(_cut(stack))
    raise NotFoundError("slot", slot[:80])


def show_replacement(row: Sequence[Any]) -> Replacement:
    """Return an end of a worker.

    Args:
      row: of the query `replacements`.
    """
    replacement = Replacement(*row)
    return msgspec.structs.replace(replacement, stack=_cut(replacement.stack))


def _show(view: WorkerView, job: JobInHand | None) -> Worker:
    end = view.last_end
    return Worker(
        slot=view.slot,
        pool=view.pool or "",
        host=view.host,
        worker_id=view.worker_id,
        pid=view.pid,
        state=view.state.value,
        lease_remaining_s=round(max(0.0, view.lease_remaining_s), 2),
        memory_bytes=view.memory_bytes,
        restarts=view.restarts,
        # A slot that is never tried again waits for ever, which JSON has no number for.
        starts_in_s=round(min(view.starts_in_s, 86_400.0), 1),
        job=None if job is None else _show_job(job),
        last_end=None
        if end is None
        else LastEnd(
            end.cause.value,
            end.detail,
            bool(end.stack),
            end.job_id,
            end.ended_at_us,
        ),
    )


def _show_job(job: JobInHand) -> RunningJob:
    progress = job.progress
    return RunningJob(
        job_id=job.job_id,
        job_type=job.job_type,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        started_at_us=job.started_at_us,
        progress=0 if progress is None else progress.counter,
        progress_total=None if progress is None else progress.total,
        note="" if progress is None else progress.note,
        cancel_requested=job.cancel_requested,
    )


def _cut(stack: str) -> str:
    return cut_text(stack, _MOST_STACK_CHARACTERS)
