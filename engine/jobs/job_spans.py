"""A job as spans: its acceptance, and each attempt a child of it, however much later and wherever.

Attributes are those of OpenTelemetry for messaging, where it has some.
"""

import hashlib

from engine import tracing
from engine.jobs.endings import Ending
from engine.jobs.journal import EndedAttempt
from engine.jobs.spec import AttemptEnd, ClaimedJob, JobSpec
from engine.jobs.states import Cause
from engine.tracing import NO_SPAN, Kind, Span

_GOOD_ENDS = frozenset({Cause.COMPLETED, Cause.SHUTDOWN, Cause.RECYCLED})


def begin_acceptance(spec: JobSpec, job_id: str) -> Span:
    """Begin the span in which a job is accepted; a context."""
    if not spec.traced or not tracing.is_on():
        return NO_SPAN
    attributes = {
        "messaging.system": "trellis",
        "messaging.operation.type": "send",
        "messaging.destination.name": spec.pool,
        "messaging.message.id": job_id,
        "trellis.job.type": spec.job_type,
        "trellis.request.id": spec.request_id,
    }
    return tracing.start(f"send {spec.job_type}", Kind.PRODUCER, attributes=attributes)


def begin_attempt(job: ClaimedJob, slot: str, began_us: int | None = None) -> Span:
    """Begin the span of an attempt, from when a slot has the job.

    Args:
      job: with the traceparent of its acceptance; without one there is no span.
      began_us: if it was not now.
    """
    if not job.traceparent or not tracing.is_on():
        return NO_SPAN
    attributes: dict[str, str | int] = {
        "messaging.system": "trellis",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.pool,
        "messaging.message.id": job.job_id,
        "trellis.job.type": job.job_type,
        "trellis.job.run": job.run,
        "trellis.job.attempt": job.attempt,
        "trellis.request.id": job.request_id,
        "trellis.worker.slot": slot,
    }
    return tracing.start(
        f"process {job.job_type}",
        Kind.CONSUMER,
        parent={"traceparent": job.traceparent},
        attributes=attributes,
        began_us=began_us,
        span_id=_span_id_of(job.token),
    )


def end_attempt(span: Span, ending: Ending) -> None:
    """End the span of an attempt as that has; of a job that nobody has begun there is none."""
    if ending.attempt is not None:
        _end_otherwise(span, ending.attempt.end)
    elif ending.outcome is not None:
        span.set("trellis.job.cause", str(Cause.COMPLETED))
        span.end()


def tell_lost_attempt(attempt: EndedAttempt) -> None:
    """Tell of an attempt that an earlier engine has begun, and of whose end it could not tell.

    It has the identity that the worker was given then, so that what the worker has told is below.
    """
    span = begin_attempt(attempt.job, attempt.slot, attempt.end.started_at_us)
    _end_otherwise(span, attempt.end)


def _span_id_of(token: str) -> str:
    """Return the identity of the attempt that a token is of, in every life of the engine."""
    return hashlib.blake2b(token.encode(), digest_size=8).hexdigest()


def _end_otherwise(span: Span, end: AttemptEnd) -> None:
    if not span.is_recording:
        return
    span.set("trellis.job.cause", str(end.cause))
    span.set("trellis.job.charged", end.charged)
    span.set("trellis.worker.id", end.worker_id)
    span.add_event("attempt ended", {"cause": str(end.cause), "detail": end.detail})
    if end.cause not in _GOOD_ENDS:
        span.fail(f"{end.cause}: {end.detail}")
    span.end()
