"""`workers`: the slots of a running engine and the worker processes in them."""

import json
from collections.abc import Sequence
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.job_text import print_stack
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.cli.tables import print_table
from engine.cli.times import show_time
from engine.errors import NotFoundError
from engine.workers.stack_text import summarize_stack
from proto.trellis.v1.workers_grpc import WorkerServiceServicer
from proto.trellis.v1.workers_pb2 import (
    ListWorkersRequest,
    RestartWorkersRequest,
    RestartWorkersResponse,
    Worker,
)

_PORT: Final = "service_d"
_MIB: Final = 2**20


@click.command("workers", epilog="Example: python main.py workers show any-0")
@common_options
@click.argument("action", type=click.Choice(["list", "show", "restart"]), default="list")
@click.argument("slot", metavar="[SLOT]", required=False)
@click.option(
    "--pool", metavar="POOL", help="list, restart: only the workers of this pool; default: all."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def workers(
    options: CommonOptions,
    /,
    *,
    action: str,
    slot: str | None,
    pool: str | None,
    as_json: bool,
) -> None:
    """List the workers, or replace them one after the other, each at the end of its job.

    show tells all of the slot SLOT, with the stacks of the last worker that was killed there.
    """
    if action == "show" and (slot is None or pool is not None):
        raise click.UsageError("show wants a SLOT, as `workers` lists them, and no --pool")
    if action != "show" and slot is not None:
        raise click.UsageError(f"{action} takes no SLOT; did you mean: workers show {slot}")
    config = options.load()
    with open_service(
        find_engine(config.paths.data), _PORT, WorkerServiceServicer, config.security
    ) as service:
        if action != "restart":
            found = service.ListWorkers(ListWorkersRequest()).workers
            if slot is not None:
                _show(_find(found, slot), as_json)
            else:
                _show_list([one for one in found if pool in (None, one.pool)], as_json)
            return
        response: RestartWorkersResponse = service.RestartWorkers(
            RestartWorkersRequest(pool=pool or "")
        )
    if as_json:
        click.echo(json.dumps({"workers": response.workers}))
    else:
        click.echo(f"{response.workers} workers will be replaced, each at the end of its job")


def _show_list(found: Sequence[Worker], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_describe(worker) for worker in found], indent=2))
        return
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


def _find(found: Sequence[Worker], slot: str) -> Worker:
    for worker in found:
        if worker.slot == slot:
            return worker
    raise NotFoundError("slot", slot, [worker.slot for worker in found])


def _show(worker: Worker, as_json: bool) -> None:
    facts = _describe(worker)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
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


def _describe(worker: Worker) -> dict[str, Any]:
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
