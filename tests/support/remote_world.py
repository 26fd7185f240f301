"""A real engine whose pool `far` is served by other machines alone, and what a test asks of it."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import msgspec

from proto.trellis.v1 import ingest_pb2, jobs_pb2, workers_pb2
from tests.support.engine_process import EngineProcess

T = TypeVar("T")

TOKEN = "token-of-the-control-port"
CHECK_DEADLINE_S = 2.0
_JOB_TYPES = (
    "{process_upload: {pool: far}, "
    "witness: {handler: 'tests.support.witness_jobs:witness', pool: far}}"
)
SETTINGS = (
    f"security.control_token={TOKEN}",
    "workers.max_python_workers=1",
    "workers.pools={default: 1}",
    "workers.check_interval_s=0.2",
    f"workers.check_deadline_s={CHECK_DEADLINE_S}",
    "workers.stall_s=20",
    f"workers.job_types={_JOB_TYPES}",
)
FINAL = (
    jobs_pb2.JOB_STATE_SUCCEEDED,
    jobs_pb2.JOB_STATE_FAILED,
    jobs_pb2.JOB_STATE_CANCELLED,
    jobs_pb2.JOB_STATE_DEAD,
)
UPLOAD_FINAL = (
    ingest_pb2.UPLOAD_STATUS_COMPLETED,
    ingest_pb2.UPLOAD_STATUS_FAILED,
    ingest_pb2.UPLOAD_STATUS_CANCELLED,
)


def eventually(condition: Callable[[], T], within_s: float = 20.0) -> T:
    """Wait, for a bounded time, until a condition holds; return its value."""
    give_up_s = time.monotonic() + within_s
    while time.monotonic() < give_up_s:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s")


class RemoteWorld:
    """An engine as its clients see it."""

    def __init__(self, engine: EngineProcess, channel: grpc.Channel, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self._channel = channel

    def call(self, method: str, request: Any, reply_type: Any) -> Any:
        return self._channel.unary_unary(
            f"/trellis.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply_type.FromString,
        )(request, timeout=10)

    def submit(self, job_type: str = "witness", **payload: Any) -> str:
        body = msgspec.json.encode({"folder": str(self.folder), **payload}).decode()
        request = jobs_pb2.SubmitJobRequest(job_type=job_type, payload_json=body)
        return self.call("JobService/SubmitJob", request, jobs_pb2.SubmitJobResponse).job_id

    def job(self, job_id: str) -> jobs_pb2.Job:
        request = jobs_pb2.GetJobRequest(job_id=job_id)
        return self.call("JobService/GetJob", request, jobs_pb2.GetJobResponse).job

    def ended(self, job_id: str, within_s: float = 30.0) -> jobs_pb2.Job:
        """Wait until a job has ended."""

        def look() -> jobs_pb2.Job | None:
            job = self.job(job_id)
            return job if job.state in FINAL else None

        return eventually(look, within_s)

    def workers(self, host: str | None = None) -> list[workers_pb2.Worker]:
        reply = self.call(
            "WorkerService/ListWorkers",
            workers_pb2.ListWorkersRequest(),
            workers_pb2.ListWorkersResponse,
        )
        return [worker for worker in reply.workers if host in (None, worker.host)]

    def idle(self, host: str, workers: int = 1, within_s: float = 30.0) -> list[workers_pb2.Worker]:
        """Wait until so many workers of a host are there and wait for work."""

        def look() -> list[workers_pb2.Worker]:
            found = [one for one in self.workers(host) if one.state == "idle"]
            return found if len(found) == workers else []

        return eventually(look, within_s)

    def running(
        self,
        job_id: str,
        host: str | None = None,
        *,
        but_not: Collection[int] = (),
        within_s: float = 30.0,
    ) -> workers_pb2.Worker:
        """Wait until a worker runs a job, as the engine and the journal say; `but_not` are pids."""

        def look() -> workers_pb2.Worker | None:
            for one in self.workers(host):
                if one.pid in but_not:
                    continue
                if one.job_id == job_id and f"begins {one.pid}" in self.journal(job_id):
                    return one
            return None

        return eventually(look, within_s)

    def upload(self, dataset: str, content: bytes) -> str:
        """Upload a file; return its id."""
        requests = [
            ingest_pb2.UploadFileRequest(header=ingest_pb2.UploadHeader(dataset=dataset)),
            ingest_pb2.UploadFileRequest(chunk=content),
        ]
        with grpc.insecure_channel(self.engine.address("service_a")) as channel:
            receipt = channel.stream_unary(
                "/trellis.v1.IngestService/UploadFile",
                request_serializer=ingest_pb2.UploadFileRequest.SerializeToString,
                response_deserializer=ingest_pb2.UploadFileResponse.FromString,
            )(iter(requests), timeout=10)
        return receipt.upload_id

    def processed(self, upload_id: str, within_s: float = 30.0) -> ingest_pb2.Upload:
        """Wait until an upload has been processed."""
        request = ingest_pb2.GetUploadRequest(upload_id=upload_id)
        with grpc.insecure_channel(self.engine.address("service_a")) as channel:
            get = channel.unary_unary(
                "/trellis.v1.IngestService/GetUpload",
                request_serializer=ingest_pb2.GetUploadRequest.SerializeToString,
                response_deserializer=ingest_pb2.GetUploadResponse.FromString,
            )

            def look() -> ingest_pb2.Upload | None:
                upload = get(request, timeout=10).upload
                return upload if upload.status in UPLOAD_FINAL else None

            return eventually(look, within_s)

    def journal(self, job_id: str) -> list[str]:
        """What the runs of a job left on record: `begins PID`, `ends PID`, `overlaps PID`."""
        path = self.folder / "journal"
        lines = path.read_text().splitlines() if path.exists() else []
        return [rest for who, _, rest in (line.partition(" ") for line in lines) if who == job_id]

    def release(self, pid: int | None = None) -> None:
        """Let all witnesses end, or that of one process."""
        (self.folder / ("release" if pid is None else f"release-{pid}")).touch()


@contextmanager
def remote_world(
    engine: EngineProcess, folder: Path, authority: bytes | None = None
) -> Iterator[RemoteWorld]:
    """Speak to a running engine; `authority` is the PEM of who vouches for it, if it has TLS."""
    address = engine.address("service_d")
    if authority is None:
        channel = grpc.insecure_channel(address)
    else:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authority))
    with channel:
        yield RemoteWorld(engine, channel, folder)
