"""What happens to jobs as rows of the data file. Pure."""

from collections.abc import Sequence
from typing import Any

import attrs
import pyarrow as pa

from engine.jobs.retries import Decision
from engine.jobs.spec import AttemptEnd, ClaimedJob, JobSpec
from engine.jobs.states import Cause, JobState
from engine.records import Append, Operation

_TIME = pa.timestamp("us")

_ACCEPTED = pa.schema(
    [
        ("logged_at", _TIME),
        ("job_id", pa.string()),
        ("run", pa.int32()),
        ("change", pa.string()),
        ("job_type", pa.string()),
        ("pool", pa.string()),
        ("priority", pa.int32()),
        ("max_attempts", pa.int32()),
        ("payload", pa.string()),
        ("idempotency_key", pa.string()),
        ("request_id", pa.string()),
        ("due_at", _TIME),
        ("detail", pa.string()),
    ]
)
_NOTED = pa.schema(
    [("logged_at", _TIME), ("job_id", pa.string()), ("run", pa.int32()), ("change", pa.string())]
)
_ENDED = pa.schema(
    [
        *_NOTED,
        ("attempt", pa.int32()),
        ("cause", pa.string()),
        ("charged", pa.bool_()),
        ("worker_id", pa.string()),
        ("slot", pa.string()),
        ("pid", pa.int32()),
        ("started_at", _TIME),
        ("due_at", _TIME),
        ("detail", pa.string()),
        ("stack", pa.string()),
    ]
)
_OUTCOMES = pa.schema(
    [
        ("outcome_key", pa.string()),
        ("job_id", pa.string()),
        ("run", pa.int32()),
        ("state", pa.string()),
        ("attempt", pa.int32()),
        ("failures", pa.int32()),
        ("result", pa.string()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("worker_id", pa.string()),
        ("slot", pa.string()),
        ("pid", pa.int32()),
        ("started_at", _TIME),
        ("finished_at", _TIME),
    ]
)


@attrs.frozen
class Outcome:
    """How a run ended. Its row's key is what lets a run end once only."""

    job_id: str
    run: int
    state: JobState
    attempt: int
    failures: int
    finished_at_us: int
    result_json: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    worker_id: str | None = None
    slot: str | None = None
    pid: int | None = None
    started_at_us: int | None = None

    @property
    def key(self) -> str:
        return f"{self.job_id}/{self.run}"


@attrs.frozen
class EndedAttempt:
    """An attempt that ended otherwise than in success."""

    job: ClaimedJob
    slot: str
    end: AttemptEnd
    decision: Decision
    due_at_us: int | None
    """When it is tried again, if that is put off."""


def write_accepted(
    job_id: str,
    spec: JobSpec,
    payload_json: str,
    at_us: int,
    due_at_us: int | None,
    traceparent: str = "",
) -> Operation:
    """Return the row that makes a job one that will not be lost.

    Args:
      traceparent: of the span that accepts it, which its attempts are children of, in whatever
        life of the engine; kept as the row's detail.
    """
    row = {
        "logged_at": at_us,
        "job_id": job_id,
        "run": 1,
        "change": "accepted",
        "job_type": spec.job_type,
        "pool": spec.pool,
        "priority": spec.priority,
        "max_attempts": spec.max_attempts,
        "payload": payload_json,
        "idempotency_key": spec.idempotency_key,
        "request_id": spec.request_id,
        "due_at": due_at_us,
        "detail": traceparent or None,
    }
    return _append("job_log", _ACCEPTED, [row])


def write_note(job_id: str, run: int, change: str, at_us: int) -> Operation:
    """Return the row of a change that has no details: `retried`, `cancel_requested`."""
    row = {"logged_at": at_us, "job_id": job_id, "run": run, "change": change}
    return _append("job_log", _NOTED, [row])


def write_ended(attempts: Sequence[EndedAttempt], at_us: int) -> Operation:
    """Return the rows of attempts that ended otherwise than in success.

    The one that succeeded is told by the outcome, so that the usual job costs one row.
    """
    rows = [
        {
            "logged_at": at_us,
            "job_id": ended.job.job_id,
            "run": ended.job.run,
            "change": "attempt_ended",
            "attempt": ended.job.attempt,
            "cause": str(ended.end.cause),
            "charged": ended.end.charged,
            "worker_id": ended.end.worker_id,
            "slot": ended.slot,
            "pid": ended.end.pid,
            "started_at": ended.end.started_at_us,
            "due_at": ended.due_at_us,
            "detail": ended.end.detail,
            "stack": ended.end.stack,
        }
        for ended in attempts
    ]
    return _append("job_log", _ENDED, rows)


def write_outcomes(outcomes: Sequence[Outcome]) -> Operation:
    """Return the rows that end runs; a second one of the same run is refused by its key."""
    columns: list[list[Any]] = [
        [outcome.key for outcome in outcomes],
        [outcome.job_id for outcome in outcomes],
        [outcome.run for outcome in outcomes],
        [str(outcome.state) for outcome in outcomes],
        [outcome.attempt for outcome in outcomes],
        [outcome.failures for outcome in outcomes],
        [outcome.result_json for outcome in outcomes],
        [outcome.error_code for outcome in outcomes],
        [outcome.error_message for outcome in outcomes],
        [outcome.worker_id for outcome in outcomes],
        [outcome.slot for outcome in outcomes],
        [outcome.pid for outcome in outcomes],
        [outcome.started_at_us for outcome in outcomes],
        [outcome.finished_at_us for outcome in outcomes],
    ]
    arrays = [
        pa.array(values, type=field.type) for values, field in zip(columns, _OUTCOMES, strict=True)
    ]
    return Append("job_outcomes", pa.RecordBatch.from_arrays(arrays, schema=_OUTCOMES))


def outcome_after_loss(ended: EndedAttempt, at_us: int) -> Outcome:
    """Return the outcome of a run whose last attempt ended without a word of its handler."""
    assert ended.decision.final is not None
    cancelled = ended.decision.final is JobState.CANCELLED
    return Outcome(
        job_id=ended.job.job_id,
        run=ended.job.run,
        state=ended.decision.final,
        attempt=ended.job.attempt,
        failures=ended.decision.failures,
        finished_at_us=at_us,
        error_code=str(Cause.CANCELLED if cancelled else ended.end.cause),
        error_message=ended.end.detail,
        worker_id=ended.end.worker_id,
        slot=ended.slot,
        pid=ended.end.pid,
        started_at_us=ended.end.started_at_us,
    )


def _append(table: str, schema: pa.Schema, rows: Sequence[dict[str, Any]]) -> Append:
    return Append(table, pa.RecordBatch.from_pylist(list(rows), schema=schema))
