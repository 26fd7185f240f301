"""Accepts jobs: into the data file first, then into the queue."""

from collections.abc import Sequence

import trio

from engine import metrics
from engine.jobs.history import JobHistory
from engine.jobs.job_clock import JobClock
from engine.jobs.job_ids import JobIds
from engine.jobs.job_spans import begin_acceptance
from engine.jobs.journal import write_accepted
from engine.jobs.queue_link import QueueLink
from engine.jobs.queued import enqueue_new
from engine.jobs.spec import JobSpec, Submission, check_job_id
from engine.records import Operation, RequestWriter, WriteRequest


class Submissions:
    """Used from the Trio thread."""

    def __init__(
        self,
        writer: RequestWriter,
        history: JobHistory,
        link: QueueLink,
        ids: JobIds,
        clock: JobClock,
    ) -> None:
        self._writer = writer
        self._history = history
        self._link = link
        self._ids = ids
        self._clock = clock
        self._keys_under_way: dict[str, trio.Event] = {}

    def new_job_id(self) -> str:
        """Return an id that no job has."""
        return self._ids.make()

    async def submit(
        self, spec: JobSpec, operations: Sequence[Operation], job_id: str | None
    ) -> Submission:
        """Accept a job; see `Jobs.submit`."""
        payload_json = spec.check()
        if job_id is None:
            job_id = self._ids.make()
        else:
            check_job_id(job_id)
        key = spec.idempotency_key
        if key is None:
            return await self._accept(spec, payload_json, operations, job_id)
        while key in self._keys_under_way:
            await self._keys_under_way[key].wait()
        done = self._keys_under_way[key] = trio.Event()
        try:
            known = await self._history.find_by_key(key)
            if known is not None:
                return Submission(known, created=False)
            return await self._accept(spec, payload_json, operations, job_id)
        finally:
            del self._keys_under_way[key]
            done.set()

    async def _accept(
        self, spec: JobSpec, payload_json: str, operations: Sequence[Operation], job_id: str
    ) -> Submission:
        now_us = self._clock.now_us()
        due_us = now_us + round(spec.delay_s * 1e6) if spec.delay_s else 0
        with begin_acceptance(spec, job_id) as span:
            traceparent = span.traceparent
            accepted = write_accepted(
                job_id, spec, payload_json, now_us, due_us or None, traceparent
            )
            # Were the wait given up, the job could be accepted all the same, and nobody would tell
            # the queue before it is built again.
            with trio.CancelScope(shield=True):
                await self._writer.submit(WriteRequest((*operations, accepted)))
        metrics.JOBS_ACCEPTED.labels(spec.job_type).inc()
        self._link.add_pool(spec.pool)
        self._link.put(enqueue_new(job_id, spec, payload_json, now_us, due_us, traceparent))
        return Submission(job_id, created=True)
