"""What goes into the queue, what comes out of it, and how attempts end."""

import json
from collections.abc import Mapping
from typing import Any

import attrs

from engine.errors import InvalidArgumentError
from engine.jobs.excerpts import cut_message, cut_note, cut_stack
from engine.jobs.job_ids import is_job_id
from engine.jobs.places import MOST_PRIORITY
from engine.jobs.states import Cause, JobState
from engine.plain_json import MOST_LEVELS, NotPlainError, check_plain

MOST_PAYLOAD_BYTES = 64 * 1024
"""A job names what it works on; claims and rebuilding hold the payloads of many at once."""
MOST_RESULT_BYTES = 1024 * 1024
MOST_DELAY_S = 366 * 86_400.0
MOST_ATTEMPTS = 1_000
_MOST_KEY_CHARACTERS = 256
_MOST_NAME_CHARACTERS = 63


@attrs.frozen
class JobSpec:
    """A job to be accepted."""

    job_type: str
    payload: Mapping[str, Any] = attrs.field(factory=dict)
    """JSON."""
    pool: str = "default"
    priority: int = 0
    """Higher first, from -1000 to 1000."""
    idempotency_key: str | None = None
    delay_s: float = 0.0
    max_attempts: int = 3
    """Attempts charged to the job after which it is given up."""
    request_id: str = ""
    traced: bool = True
    """Whether its attempts are spans. One without an end of its own had better not be."""

    def check(self) -> str:
        """Return the payload as JSON text.

        Raises:
          InvalidArgumentError: names the field that is not acceptable.
        """
        for field in ("job_type", "pool"):
            name = getattr(self, field)
            if not name or len(name) > _MOST_NAME_CHARACTERS or not name.isprintable():
                raise InvalidArgumentError(field, "is a name of 1 to 63 printable characters")
        if not -MOST_PRIORITY <= self.priority <= MOST_PRIORITY:
            raise InvalidArgumentError("priority", f"is within -{MOST_PRIORITY} to {MOST_PRIORITY}")
        if not 0 <= self.delay_s <= MOST_DELAY_S:
            raise InvalidArgumentError("delay_s", f"is within 0 to {MOST_DELAY_S:g} s")
        if not 1 <= self.max_attempts <= MOST_ATTEMPTS:
            raise InvalidArgumentError("max_attempts", f"is within 1 to {MOST_ATTEMPTS}")
        key = self.idempotency_key
        if key is not None and not 1 <= len(key) <= _MOST_KEY_CHARACTERS:
            raise InvalidArgumentError("idempotency_key", "has 1 to 256 characters")
        return _write_payload(self.payload)


def check_job_id(job_id: str) -> str:
    """Return the id. Raises InvalidArgumentError if it cannot be one."""
    if not is_job_id(job_id):
        raise InvalidArgumentError("job_id", "is 26 digits and capital letters")
    return job_id


@attrs.frozen
class Submission:
    """The job that a submission led to; `created` is False if its idempotency key was known."""

    job_id: str
    created: bool


@attrs.frozen
class ClaimedJob:
    """A job handed to a slot, until the slot ends it with the token."""

    job_id: str
    run: int
    attempt: int
    token: str
    """Of this job and attempt alone."""
    job_type: str
    payload_json: str
    failures: int
    accepted_at_us: int
    request_id: str
    pool: str
    max_attempts: int
    priority: int
    traceparent: str = ""
    """The span that what its worker does is part of; empty if it is not traced."""


@attrs.frozen
class Progress:
    """What the worker of a running job last said about it."""

    counter: int
    """Advances while the job does."""
    total: int | None
    """What it will be at the end, if that is known."""
    note: str = attrs.field(converter=cut_note)
    since_us: int
    """When it was first said."""


@attrs.frozen
class RunningJob:
    """A job in a worker's hands, as the engine's memory has it."""

    job_id: str
    job_type: str
    attempt: int
    max_attempts: int
    started_at_us: int
    """When it was handed out, microseconds UTC."""
    progress: Progress | None
    cancel_requested: bool


@attrs.frozen
class JobResult:
    """What a handler returned."""

    job_id: str
    token: str
    result_json: str = "{}"
    worker_id: str = ""
    pid: int | None = None
    started_at_us: int | None = None


@attrs.frozen
class ResultVerdict:
    """What became of a result: its outcome is on disk, or why it is not."""

    job_id: str
    accepted: bool
    state: JobState | None = None
    """Where the job stands if its result was accepted, or refused for what is in it."""
    reason: str = ""
    """Why the result was not accepted."""


@attrs.frozen
class JobFailure:
    """What a handler raised."""

    job_id: str
    token: str
    code: str
    """Stable, lower case, such as `malformed_file`."""
    message: str = attrs.field(converter=cut_message)
    permanent: bool = False
    """Another attempt would end the same."""
    out_of_reach: bool = False
    """Its worker could not reach what the job needs of the engine: not the job's fault."""
    stack: str = attrs.field(default="", converter=cut_stack)
    retry_after_s: float | None = None
    worker_id: str = ""
    pid: int | None = None
    started_at_us: int | None = None


@attrs.frozen
class AttemptEnd:
    """Why an attempt ended without a word of its handler."""

    cause: Cause
    detail: str = attrs.field(default="", converter=cut_message)
    stack: str = attrs.field(default="", converter=cut_stack)
    charged: bool = False
    """Whether it counts towards the job's `max_attempts`."""
    worker_id: str = ""
    pid: int | None = None
    started_at_us: int | None = None


def _write_payload(payload: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(payload), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size_bytes = len(text.encode())
        check_plain(payload)
    except (NotPlainError, RecursionError) as error:
        raise InvalidArgumentError(
            "payload_json", f"is nested deeper than {MOST_LEVELS} levels"
        ) from error
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError("payload_json", f"is not JSON: {error}") from error
    if size_bytes > MOST_PAYLOAD_BYTES:
        raise InvalidArgumentError(
            "payload_json", f"has {size_bytes} bytes; at most {MOST_PAYLOAD_BYTES} are taken"
        )
    return text
