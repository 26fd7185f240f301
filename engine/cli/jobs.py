"""`jobs`: what was accepted, where it stands, what came of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.command_lines import write_command
from engine.cli.examples import examples
from engine.cli.job_submission import read_submission, show_submitted, submission_options
from engine.cli.job_text import (
    STATE_NAMES,
    describe_job,
    has_ended,
    has_succeeded,
    print_job,
    print_jobs,
    read_state,
    show_change,
)
from engine.cli.json_output import print_json, write_json_line
from engine.cli.known_names import complete_job_types, complete_jobs_or_types, complete_pools
from engine.cli.options import CommonOptions, common_options, given
from engine.cli.running import find_engine
from engine.cli.waiting import show_waiting
from engine.errors import UnavailableError
from engine.rpc import RpcFailedError, StatusCode
from proto.trellis.v1.jobs_grpc import JobServiceServicer
from proto.trellis.v1.jobs_pb2 import (
    CancelJobRequest,
    GetJobRequest,
    Job,
    ListJobsRequest,
    ListJobsResponse,
    RetryJobRequest,
    WatchJobRequest,
)

PORT: Final = "service_d"
_PAGE_SIZE: Final = 500
_LIST: Final = "list"
_SUBMIT: Final = "submit"


@click.command(
    "jobs",
    epilog=examples(
        "jobs",
        "jobs list --state dead --limit 10",
        "jobs show 01M84DBB15A5N50T10892X02FR",
        "jobs watch 01M84DBB15A5N50T10892X02FR --json",
        "jobs retry 01M84DBB15A5N50T10892X02FR",
        """jobs submit purchase_totals --payload '{"file": "purchases.csv"}' --wait""",
    ),
)
@common_options
@click.argument(
    "action",
    type=click.Choice([_LIST, _SUBMIT, "show", "watch", "cancel", "retry"]),
    default=_LIST,
)
@click.argument(
    "target", metavar="[ID|TYPE]", required=False, shell_complete=complete_jobs_or_types
)
@click.option("--state", type=click.Choice(STATE_NAMES), help="list: only those in this state.")
@click.option(
    "--type",
    "job_type",
    metavar="TYPE",
    shell_complete=complete_job_types,
    help="list: only those of this type.",
)
@click.option(
    "--pool", metavar="POOL", shell_complete=complete_pools, help="list: only those of this pool."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="list: at most N, the latest first; default: 50.",
)
@submission_options
@click.option("--wait", is_flag=True, help="submit: wait until the job has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; watch: one object a line.")
@click.pass_obj
def jobs(
    options: CommonOptions,
    /,
    *,
    action: str,
    target: str | None,
    state: str | None,
    job_type: str | None,
    pool: str | None,
    limit: int | None,
    wait: bool,
    as_json: bool,
    **submission: Any,
) -> None:
    """List jobs, submit one of the type TYPE, or show, watch, cancel or retry the job ID.

    submit is done when the job is on disk; with --wait its exit code is that of watch. watch ends
    with the job; its exit code is 1 unless the job has succeeded. cancel ends a job that waits at
    once and asks one that runs to end. retry starts a job that did not succeed once more.
    """
    if action == _LIST and target is not None:
        raise click.UsageError(f"list takes no ID; did you mean: jobs show {target}")
    if action == _SUBMIT and target is None:
        raise click.UsageError("submit wants the TYPE of the job, one of workers.job_types")
    if action != _LIST and target is None:
        raise click.UsageError(f"{action} wants the ID of a job, as `jobs list` shows it")
    if action != _LIST and (state, job_type, pool, limit) != (None, None, None, None):
        raise click.UsageError("--state, --type, --pool and --limit go with list")
    if action != _SUBMIT and (wait or given(submission)):
        raise click.UsageError("--payload, --priority, --key, --delay and --wait go with submit")
    request = read_submission(str(target), **submission) if action == _SUBMIT else None
    config = options.load()
    with open_service(
        find_engine(config.paths.data), PORT, JobServiceServicer, config.security
    ) as service:
        if request is not None:
            submitted = service.SubmitJob(request)
            show_submitted(submitted, as_json, wait=wait)
            if wait:
                show = _show_json if as_json else show_change
                sys.exit(0 if has_succeeded(watch_job(service, submitted.job_id, show)) else 1)
            return
        match action:
            case "list":
                wanted = ListJobsRequest(
                    state=read_state(state) if state else None,
                    job_type=job_type or "",
                    pool=pool or "",
                )
                _show_list(_list_pages(service, wanted, limit or 50), as_json)
                return
            case "show":
                job = service.GetJob(GetJobRequest(job_id=target)).job
            case "watch":
                show = _show_json if as_json else show_change
                sys.exit(0 if has_succeeded(watch_job(service, str(target), show)) else 1)
            case "cancel":
                job = service.CancelJob(CancelJobRequest(job_id=target)).job
            case _:
                job = service.RetryJob(RetryJobRequest(job_id=target)).job
    if as_json:
        print_json(describe_job(job))
    elif action == "show":
        print_job(job)
    else:
        click.echo(f"{job.job_id}: {show_change(job)}")


def watch_job(service: Any, job_id: str, show: Callable[[Job], str] | None) -> Job:
    """Print a line for every change of a job until it has ended, and return it then.

    Args:
      service: the engine's JobService, as `open_service` yields it.
      show: returns the line; None if nothing is to be printed.
    Raises:
      UnavailableError: the engine stopped telling before that.
      RpcFailedError: it refused, or has not answered in the time of a call.
    """
    try:
        return _show_until_ended(service, job_id, show)
    except KeyboardInterrupt:
        again = write_command("jobs", "watch", job_id)
        click.echo(f"\nthe job goes on; to watch it again: {again}", err=True)
        raise


def _show_until_ended(service: Any, job_id: str, show: Callable[[Job], str] | None) -> Job:
    shown = ""
    # Somebody who looks on sees how it moves, and of all that only the last line is to stay.
    is_seen = show is None or sys.stdout.isatty()
    with show_waiting(f"job {job_id}") if is_seen else nullcontext() as draw:
        for job in _follow(service, job_id):
            line = "" if show is None else show(job)
            if has_ended(job):
                break
            if draw is not None:
                draw(show_change(job), job.progress, job.progress_total)
            elif line != shown:
                _tell(line)
                shown = line
        else:
            raise UnavailableError(
                "the engine stopped watching the job; go on with: "
                f"{write_command('jobs', 'watch', job_id)}"
            )
    if line != shown:
        _tell(line)
    return job


def _tell(line: str) -> None:
    click.echo(line)
    # A pipe is not flushed by lines, and the next one may be long in coming.
    sys.stdout.flush()


def _follow(service: Any, job_id: str) -> Iterator[Job]:
    """Yield a job whenever it has changed, until it has ended or the engine says no more.

    A job may stand still for any time, an engine may not: it is asked again and again, and answers
    each time with how the job stands.
    """
    known = Job()
    is_over = False
    while not is_over:
        heard = False
        try:
            for change in service.WatchJob(WatchJobRequest(job_id=job_id)):
                heard = True
                if change.attempts_unchanged:
                    change.job.attempts.extend(known.attempts)
                    change.job.attempts_left_out = known.attempts_left_out
                known = change.job
                yield known
            is_over = True
        except RpcFailedError as error:
            if error.status.status_code is not StatusCode.DEADLINE_EXCEEDED or not heard:
                raise


def _show_json(job: Job) -> str:
    return write_json_line(describe_job(job))


def _list_pages(service: Any, request: ListJobsRequest, limit: int) -> list[Job]:
    found: list[Job] = []
    while len(found) < limit:
        request.page_size = min(_PAGE_SIZE, limit - len(found))
        response: ListJobsResponse = service.ListJobs(request)
        found += response.jobs
        request.page_token = response.next_page_token
        if not request.page_token:
            break
    return found


def _show_list(found: list[Job], as_json: bool) -> None:
    if as_json:
        print_json([describe_job(job) for job in found])
    else:
        print_jobs(found)
