"""`jobs submit`: its options, the request they make, and what is said of the answer."""

import json
import sys
from collections.abc import Callable
from functools import reduce
from typing import Any, Final, TypeVar

import click

from engine.cli.json_output import print_json
from engine.cli.options import Duration
from engine.errors import InvalidArgumentError
from proto.trellis.v1.jobs_pb2 import SubmitJobRequest, SubmitJobResponse

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--payload",
        metavar="JSON",
        help="submit: what the job is given, a JSON object; default: {}.",
    ),
    click.option(
        "--priority",
        type=click.IntRange(-1_000, 1_000),
        metavar="N",
        help="submit: higher goes first; default: 0.",
    ),
    click.option("--key", metavar="KEY", help="submit: jobs with the same key are the same job."),
    click.option(
        "--delay",
        "delay_s",
        type=Duration(),
        metavar="DURATION",
        help="submit: do it no sooner than after this long.",
    ),
)


def submission_options(function: _Function) -> _Function:
    """Add the options of `jobs submit`, named as the parameters of `read_submission`."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), function)


def read_submission(
    job_type: str,
    *,
    payload: str | None,
    priority: int | None,
    key: str | None,
    delay_s: float | None,
) -> SubmitJobRequest:
    """Return the request that the options mean.

    Raises:
      InvalidArgumentError: the payload is no JSON object.
    """
    try:
        is_object = isinstance(json.loads(payload or "{}"), dict)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError("--payload", f"is not JSON: {error}") from error
    if not is_object:
        raise InvalidArgumentError("--payload", """is no JSON object such as '{"day": 3}'""")
    return SubmitJobRequest(
        job_type=job_type,
        payload_json=payload or "",
        priority=priority or 0,
        idempotency_key=key or "",
        delay_s=delay_s or 0.0,
    )


def show_submitted(submitted: SubmitJobResponse, as_json: bool, *, wait: bool) -> None:
    """Print which job it is; for machines that wait, it is in every line that follows."""
    if not as_json:
        known = "" if submitted.created else ", known already"
        click.echo(f"job {submitted.job_id}{known}")
    elif not wait:
        print_json({"job_id": submitted.job_id, "created": submitted.created})
    sys.stdout.flush()
