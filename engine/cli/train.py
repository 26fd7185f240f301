"""`train`: a training by call, and what became of it."""

import sys
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.command_lines import write_command
from engine.cli.examples import examples
from engine.cli.job_text import describe_job, has_succeeded, show_change, show_state
from engine.cli.jobs import PORT, watch_job
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_models
from engine.cli.models import PORT as MODELS_PORT
from engine.cli.models import get_model
from engine.cli.models_text import aliases_of, describe_model, print_metrics
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import RunningEngine, find_engine
from engine.config import SecurityConfig
from proto.trellis.v1.jobs_grpc import JobServiceServicer
from proto.trellis.v1.jobs_pb2 import Job
from proto.trellis.v1.models_grpc import ModelServiceServicer
from proto.trellis.v1.models_pb2 import Model
from proto.trellis.v1.monitor_grpc import MonitorServiceServicer
from proto.trellis.v1.monitor_pb2 import RetrainRequest, RetrainResponse

_CHAMPION: Final = "champion"


@click.command("train", epilog=examples("train buys_soon", "train buys_soon --wait"))
@common_options
@click.argument("model", metavar="MODEL", shell_complete=complete_models)
@click.option("--wait", is_flag=True, help="Wait until it has ended, and show what became of it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def train(options: CommonOptions, /, *, model: str, wait: bool, as_json: bool) -> None:
    """Start a training of MODEL, or name the one that is under way.

    With --wait the exit code is 1 if there is no new version, and the error says why not.
    """
    config = options.load()
    engine = find_engine(config.paths.data)
    with open_service(engine, PORT, MonitorServiceServicer, config.security) as monitor:
        started: RetrainResponse = monitor.Retrain(RetrainRequest(model=model))
    if not as_json:
        known = "" if started.created else ", under way already"
        click.echo(f"job {started.job_id}{known}")
        sys.stdout.flush()
    elif not wait:
        print_json({"job_id": started.job_id, "created": started.created})
    if not wait:
        return
    with open_service(engine, PORT, JobServiceServicer, config.security) as jobs:
        job = watch_job(jobs, started.job_id, None if as_json else show_change)
    version = _find_version(engine, config.security, model, job) if has_succeeded(job) else None
    if as_json:
        print_json(_describe(started, job, version))
    elif version is not None:
        _show(version)
    sys.exit(0 if version is not None else 1)


def _find_version(
    engine: RunningEngine, security: SecurityConfig, model: str, job: Job
) -> Model | None:
    """Return the version that a job has made; of the latest ones, others may have come since."""
    with open_service(engine, MODELS_PORT, ModelServiceServicer, security) as service:
        for number in range(get_model(service, model).latest_version, 0, -1):
            found = get_model(service, model, number)
            if found.HasField("trained") and found.trained.job_id == job.job_id:
                return found
    return None


def _show(version: Model) -> None:
    aliases = [name for name, at in aliases_of(version).items() if at == version.version]
    trained = version.trained
    click.echo(
        f"\n{version.model} version {version.version}, {aliases[0] if aliases else 'no alias'}: "
        f"{trained.estimator}, {trained.rows_fitted:,} rows fitted, {trained.rows_tested:,} held "
        "out\n"
    )
    print_metrics(trained)
    if _CHAMPION not in aliases:
        promote = ("models", "promote", version.model, "--version", str(version.version))
        click.echo(f"\nto have it answer: {write_command(*promote)}")


def _describe(started: RetrainResponse, job: Job, version: Model | None) -> dict[str, Any]:
    return {
        "job_id": started.job_id,
        "created": started.created,
        "state": show_state(job),
        "job": describe_job(job),
        "model": None if version is None else describe_model(version),
    }
