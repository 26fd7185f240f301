"""Slots and their workers as people and machines read them."""

from collections.abc import Sequence
from typing import Any, Final

import click

from engine.cli.job_text import print_stack
from engine.cli.tables import print_table
from engine.cli.times import show_time
from engine.workers.stack_text import summarize_stack
from proto.trellis.v1.workers_pb2 import Worker

_MIB: Final = 2**20


def print_workers(found: Sequence[Worker]) -> None:
    """Print a table with a line a slot."""
    if not found:
        click.echo("no workers")
        return
    print_table(
        ("slot", "pool", "host", "pid", "state", "job", "memory", "restarts", "last end"),
        [
            (
                worker.slot,
                worker.pool or "any",
                worker.host,
                worker.pid or None,
                _state(worker),
                worker.job_id,
                f"{worker.memory_bytes / _MIB:,.0f} MiB"
                if worker.HasField("memory_bytes")
                else None,
                worker.restarts,
                _last_end(worker),
            )
            for worker in found
        ],
    )


def print_worker(worker: Worker) -> None:
    """Print all there is to say of a slot, the stacks of its last worker last."""
    facts = describe_worker(worker)
    stack = facts.pop("last_stack")
    print_table(
        ("field", "value"), [(name, fact) for name, fact in facts.items() if fact is not None]
    )
    if stack:
        print_stack(f"The last worker, {worker.last_cause}:", stack)


def _state(worker: Worker) -> str:
    if worker.starts_in_s > 0:
        return f"{worker.state}, starts in {worker.starts_in_s:.0f} s"
    return worker.state


def _last_end(worker: Worker) -> str:
    told = ": ".join(part for part in (worker.last_cause, worker.last_detail) if part)
    at = summarize_stack(worker.last_stack)
    return f"{told}, in {at}" if at else told


def describe_worker(worker: Worker) -> dict[str, Any]:
    """Return a slot as it is printed for machines; None where there is nothing."""
    return {
        "slot": worker.slot,
        "pool": worker.pool or None,
        "host": worker.host,
        "worker_id": worker.worker_id or None,
        "pid": worker.pid or None,
        "state": worker.state,
        "job_id": worker.job_id or None,
        "lease_remaining_s": round(worker.lease_remaining_s, 3),
        "progress": worker.progress,
        "memory_bytes": worker.memory_bytes if worker.HasField("memory_bytes") else None,
        "restarts": worker.restarts,
        "last_cause": worker.last_cause or None,
        "last_detail": worker.last_detail or None,
        "last_job_id": worker.last_job_id or None,
        "last_stack": worker.last_stack or None,
        "last_ended_at": show_time(worker.last_ended_at)
        if worker.HasField("last_ended_at")
        else None,
        "starts_in_s": round(worker.starts_in_s, 3),
    }


def show_worker(worker: Worker) -> str:
    """Return one line that says how a slot is doing."""
    job = f", job {worker.job_id} in hand" if worker.job_id else ""
    return f"{worker.slot}: {_state(worker)}{job}"
