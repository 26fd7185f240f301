"""Jobs as records of the queue, made from what was accepted or is on disk. Pure."""

import msgspec

from engine.jobs.history import JobFacts
from engine.jobs.job_ids import read_order_ms
from engine.jobs.places import compute_place
from engine.jobs.queue_records import Enqueue, LiveRecord, LiveState, Spec, write_spec
from engine.jobs.spec import JobSpec


def enqueue_new(
    job_id: str,
    spec: JobSpec,
    payload_json: str,
    accepted_at_us: int,
    due_us: int,
    traceparent: str = "",
) -> Enqueue:
    """Return what puts a job in that has just been accepted.

    Args:
      due_us: when it becomes ready; 0 for at once.
      traceparent: as in `write_accepted`.
    """
    record = LiveRecord(
        state=LiveState.DELAYED if due_us else LiveState.READY,
        run=1,
        attempt=0,
        failures=0,
        pool=spec.pool,
        place=compute_place(spec.priority, read_order_ms(job_id)),
        due_us=due_us,
    )
    request = Spec(
        job_type=spec.job_type,
        payload=msgspec.Raw(payload_json.encode()),
        priority=spec.priority,
        max_attempts=spec.max_attempts,
        accepted_at_us=accepted_at_us,
        request_id=spec.request_id,
        traceparent=traceparent,
    )
    return Enqueue(job_id, record, write_spec(request))


def queued_record(facts: JobFacts, now_us: int) -> LiveRecord:
    """Return the record of an unfinished job that nobody holds.

    A delay that is still to run is at most as long as it was when it began: the machine's clock
    may have been set back since.
    """
    order_ms = read_order_ms(facts.job_id) if facts.run == 1 else facts.run_accepted_at_us // 1000
    due_us = 0
    if facts.due_at_us is not None and facts.due_at_us > now_us:
        due_us = min(facts.due_at_us, now_us + facts.due_at_us - facts.put_off_at_us)
    return LiveRecord(
        state=LiveState.DELAYED if due_us else LiveState.READY,
        run=facts.run,
        attempt=facts.attempt,
        failures=facts.failures,
        pool=facts.pool,
        place=compute_place(facts.priority, order_ms),
        due_us=due_us,
    )


def spec_of(facts: JobFacts) -> str:
    """Return the request of a job as the queue keeps it."""
    return write_spec(
        Spec(
            job_type=facts.job_type,
            payload=msgspec.Raw(facts.payload_json.encode()),
            priority=facts.priority,
            max_attempts=facts.max_attempts,
            accepted_at_us=facts.accepted_at_us,
            request_id=facts.request_id,
            traceparent=facts.traceparent,
        )
    )
