"""What a worker does for a job, as a span: a child of the attempt's, which the engine tells."""

from types import TracebackType

from engine import tracing
from engine.tasks.errors import JobCancelled, JobHandedBack
from engine.tasks.hand import Job
from engine.tracing import Span


class JobSpan:
    """The span of a handler, from its call to its end, however that is."""

    def __init__(self, job: Job, worker_id: str) -> None:
        self._job = job
        self._worker_id = worker_id
        self._span: Span = tracing.NO_SPAN

    def __enter__(self) -> Span:
        job = self._job
        if job.traceparent and tracing.is_on():
            self._span = tracing.start(
                f"run {job.job_type}",
                parent={"traceparent": job.traceparent},
                attributes={
                    "messaging.message.id": job.job_id,
                    "trellis.job.type": job.job_type,
                    "trellis.job.attempt": job.attempt,
                    "trellis.request.id": job.request_id,
                    "trellis.worker.id": self._worker_id,
                },
            )
        return self._span.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, JobCancelled):
            self._span.add_event("cancelled")
        if isinstance(error, JobHandedBack):
            self._span.add_event("handed back")
            kind = error = traceback = None
        self._span.__exit__(kind, error, traceback)
