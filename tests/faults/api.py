"""The engine as its clients see it, through failures of any kind: calls are repeated.

Submissions carry idempotency keys, so that one whose answer was lost is not made twice.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from proto.trellis.v1 import ingest_pb2, jobs_pb2, workers_pb2
from tests.faults.plan import PlannedJob
from tests.faults.registry import Target

_CALL_S = 5.0
_PATIENCE_S = 90.0
_PAUSE_S = 0.1
_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
_CHUNK_BYTES = 65_536
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class Api:
    """Blocking calls, from any thread; a context manager."""

    def __init__(self, target: Target) -> None:
        self._channels = {
            port: grpc.insecure_channel(target.address(port), options=_OPTIONS)
            for port in ("service_a", "service_d")
        }

    def submit(self, job: PlannedJob, log_folder: Path) -> str:
        """Have a job accepted, which logs to a folder, or an upload; return the job's id."""
        if job.is_upload:
            call = self._channels["service_a"].stream_unary(
                "/trellis.v1.IngestService/UploadFile",
                request_serializer=ingest_pb2.UploadFileRequest.SerializeToString,
                response_deserializer=ingest_pb2.UploadFileResponse.FromString,
            )
            return str(_repeat(lambda: call(_upload(job), timeout=_CALL_S)).job_id)
        request = jobs_pb2.SubmitJobRequest(
            job_type=job.job_type,
            payload_json=job.payload_json(log_folder),
            priority=job.priority,
            idempotency_key=job.key,
            delay_s=job.delay_s,
        )
        return str(self._jobs("SubmitJob", request, jobs_pb2.SubmitJobResponse).job_id)

    def get(self, job_id: str) -> jobs_pb2.Job:
        """Return a job with its attempts."""
        request = jobs_pb2.GetJobRequest(job_id=job_id)
        return self._jobs("GetJob", request, jobs_pb2.GetJobResponse).job

    def cancel(self, job_id: str) -> None:
        """Cancel a job."""
        request = jobs_pb2.CancelJobRequest(job_id=job_id)
        self._jobs("CancelJob", request, jobs_pb2.CancelJobResponse)

    def queue(self) -> jobs_pb2.GetQueueResponse:
        """Return the depths of all pools."""
        return self._jobs("GetQueue", jobs_pb2.GetQueueRequest(), jobs_pb2.GetQueueResponse)

    def workers(self) -> list[workers_pb2.Worker]:
        """Return all slots."""
        call = self._channels["service_d"].unary_unary(
            "/trellis.v1.WorkerService/ListWorkers",
            request_serializer=workers_pb2.ListWorkersRequest.SerializeToString,
            response_deserializer=workers_pb2.ListWorkersResponse.FromString,
        )
        ask = partial(call, workers_pb2.ListWorkersRequest(), timeout=_CALL_S)
        return list(_repeat(ask).workers)

    def retry(self, job_id: str, run: int) -> None:
        """Start a job that has ended once more, as its run of that number."""

        def ask() -> None:
            # The answer to an earlier call may have been lost.
            if self.get(job_id).run < run:
                self._call_jobs("RetryJob", request, jobs_pb2.RetryJobResponse)

        request = jobs_pb2.RetryJobRequest(job_id=job_id)
        _repeat(ask)

    def restart_workers(self) -> int:
        """Have all workers replaced; return how many."""
        call = self._channels["service_d"].unary_unary(
            "/trellis.v1.WorkerService/RestartWorkers",
            request_serializer=workers_pb2.RestartWorkersRequest.SerializeToString,
            response_deserializer=workers_pb2.RestartWorkersResponse.FromString,
        )
        ask = partial(call, workers_pb2.RestartWorkersRequest(), timeout=_CALL_S)
        return int(_repeat(ask).workers)

    def drain(self, slot: str) -> None:
        """Empty a slot."""
        self._workers("DrainWorkers", workers_pb2.DrainWorkersRequest(slot=slot))

    def resume(self, slot: str) -> None:
        """Fill a slot again."""
        self._workers("ResumeWorkers", workers_pb2.ResumeWorkersRequest(slot=slot))

    def _workers(self, method: str, request: Any) -> None:
        call = self._channels["service_d"].unary_unary(
            f"/trellis.v1.WorkerService/{method}",
            request_serializer=type(request).SerializeToString,
        )
        _repeat(partial(call, request, timeout=_CALL_S))

    def _jobs(self, method: str, request: Any, reply: Any) -> Any:
        return _repeat(lambda: self._call_jobs(method, request, reply))

    def _call_jobs(self, method: str, request: Any, reply: Any) -> Any:
        call = self._channels["service_d"].unary_unary(
            f"/trellis.v1.JobService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        return call(request, timeout=_CALL_S)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels.values():
            channel.close()


def _repeat(ask: Callable[[], Any]) -> Any:
    """Call until there is an answer, or an error that will not pass.

    Raises:
      grpc.RpcError: as said, or there was none for `_PATIENCE_S`.
    """
    give_up_at_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return ask()
        except grpc.RpcError as error:
            if error.code() not in _PASSING or time.monotonic() > give_up_at_s:
                raise
        time.sleep(_PAUSE_S)


def _upload(job: PlannedJob) -> Iterator[ingest_pb2.UploadFileRequest]:
    content = job.content
    header = ingest_pb2.UploadHeader(
        dataset="profiles",
        filename=f"{job.key}.ndjson",
        content_type="application/x-ndjson",
        idempotency_key=job.key,
        size_bytes=len(content),
    )
    yield ingest_pb2.UploadFileRequest(header=header)
    for begin in range(0, len(content), _CHUNK_BYTES):
        yield ingest_pb2.UploadFileRequest(chunk=content[begin : begin + _CHUNK_BYTES])
