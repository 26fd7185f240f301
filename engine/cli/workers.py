"""`workers`: the slots of a running engine and the worker processes in them."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_hosts, complete_pools, complete_slots
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import find_engine
from engine.cli.worker_text import describe_worker, print_worker, print_workers, show_worker
from engine.errors import NotFoundError
from proto.trellis.v1.workers_grpc import WorkerServiceServicer
from proto.trellis.v1.workers_pb2 import (
    DrainWorkersRequest,
    ListWorkersRequest,
    RestartWorkersRequest,
    RestartWorkersResponse,
    ResumeWorkersRequest,
    Worker,
)

_PORT: Final = "service_d"
_LOOK_S: Final = 0.3
_EMPTYING: Final = ("drain", "resume")


@click.command(
    "workers",
    epilog=examples(
        "workers",
        "workers show any-0",
        "workers restart --pool serve",
        "workers drain any-0 --wait",
        "workers resume --host local",
    ),
)
@common_options
@click.argument(
    "action", type=click.Choice(["list", "show", "restart", *_EMPTYING]), default="list"
)
@click.argument("slot", metavar="[SLOT]", required=False, shell_complete=complete_slots)
@click.option(
    "--pool",
    metavar="POOL",
    shell_complete=complete_pools,
    help="list, restart: only the workers of this pool; default: all.",
)
@click.option(
    "--host",
    metavar="NAME",
    shell_complete=complete_hosts,
    help="drain, resume: all slots of this host.",
)
@click.option("--force", is_flag=True, help="drain: also the last worker that predictions have.")
@click.option("--wait", is_flag=True, help="drain: wait until no worker is left there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def workers(
    options: CommonOptions,
    /,
    *,
    action: str,
    slot: str | None,
    pool: str | None,
    host: str | None,
    force: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """List the workers, show one slot, replace workers, or empty slots and fill them again.

    show tells all of the slot SLOT, with the stacks of the last worker that was killed there.
    restart replaces one after the other, each at the end of its job. drain empties the slot SLOT,
    or all of --host, at the end of its job; it stays empty until resume, or until the engine is
    started again.
    """
    _check_usage(action, slot, pool, host, force=force, wait=wait)
    config = options.load()
    with open_service(
        find_engine(config.paths.data), _PORT, WorkerServiceServicer, config.security
    ) as service:
        match action:
            case "list":
                _show_list([one for one in _list(service) if pool in (None, one.pool)], as_json)
            case "show":
                _show(_find(_list(service), str(slot)), as_json)
            case "restart":
                _restart(service, pool or "", as_json)
            case "drain":
                wanted = DrainWorkersRequest(slot=slot, host=host, force=force)
                chosen = service.DrainWorkers(wanted).workers
                _show_changed(chosen, as_json, wait=wait)
                if wait:
                    _wait_until_drained(service, chosen, as_json)
            case _:
                request = ResumeWorkersRequest(slot=slot, host=host)
                _show_changed(service.ResumeWorkers(request).workers, as_json)


def _check_usage(
    action: str, slot: str | None, pool: str | None, host: str | None, *, force: bool, wait: bool
) -> None:
    if action == "show" and slot is None:
        raise click.UsageError("show wants a SLOT, as `workers` lists them")
    if action in _EMPTYING and (slot is None) == (host is None):
        raise click.UsageError(f"{action} wants a SLOT, as `workers` lists them, or --host NAME")
    if action in {"list", "restart"} and slot is not None:
        raise click.UsageError(f"{action} takes no SLOT; did you mean: workers show {slot}")
    if action not in {"list", "restart"} and pool is not None:
        raise click.UsageError("--pool goes with list and restart")
    if action not in _EMPTYING and host is not None:
        raise click.UsageError("--host goes with drain and resume")
    if action != "drain" and (force or wait):
        raise click.UsageError("--force and --wait go with drain")


def _list(service: Any) -> Sequence[Worker]:
    found: Sequence[Worker] = service.ListWorkers(ListWorkersRequest()).workers
    return found


def _find(found: Sequence[Worker], slot: str) -> Worker:
    for worker in found:
        if worker.slot == slot:
            return worker
    raise NotFoundError("slot", slot, [worker.slot for worker in found])


def _restart(service: Any, pool: str, as_json: bool) -> None:
    response: RestartWorkersResponse = service.RestartWorkers(RestartWorkersRequest(pool=pool))
    if as_json:
        print_json({"workers": response.workers})
    else:
        click.echo(f"{response.workers} workers will be replaced, each at the end of its job")


def _wait_until_drained(service: Any, chosen: Sequence[Worker], as_json: bool) -> None:
    """Print what changes until no worker is left in the slots, or they are gone with their host.

    Somebody else may have them filled again meanwhile, which ends it, too.
    """
    known = {worker.slot: worker for worker in chosen}
    while any(worker.state == "draining" for worker in known.values()):
        time.sleep(_LOOK_S)
        now = {one.slot: one for one in _list(service) if one.slot in known}
        if not as_json:
            for slot, worker in now.items():
                if show_worker(worker) != show_worker(known[slot]):
                    click.echo(show_worker(worker))
            sys.stdout.flush()
        known = now
    if as_json:
        _show_list([*known.values()], as_json)


def _show_changed(chosen: Sequence[Worker], as_json: bool, *, wait: bool = False) -> None:
    if not as_json:
        for worker in chosen:
            click.echo(show_worker(worker))
        sys.stdout.flush()
    elif not wait:
        _show_list(chosen, as_json)


def _show_list(found: Sequence[Worker], as_json: bool) -> None:
    if as_json:
        print_json([describe_worker(worker) for worker in found])
    else:
        print_workers(found)


def _show(worker: Worker, as_json: bool) -> None:
    if as_json:
        print_json(describe_worker(worker))
    else:
        print_worker(worker)
