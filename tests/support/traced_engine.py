"""An engine that tells a collector what it does, and callers with traces of their own."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import grpc

from proto.trellis.v1 import ingest_pb2, jobs_pb2, workers_pb2
from tests.support.engine_process import EngineProcess
from tests.support.learning_engine import LearningEngine, running_engine
from tests.support.otlp_receiver import OtlpReceiver, ReceivedSpan
from tests.support.serving_engine import wait_until

SLEEP = "sleep: {handler: 'tests.support.job_bodies:sleep'}"


@attrs.frozen
class Caller:
    """A caller with a trace of its own."""

    trace_id: str = attrs.field(factory=lambda: secrets.token_hex(16))
    span_id: str = attrs.field(factory=lambda: secrets.token_hex(8))
    request_id: str = attrs.field(factory=lambda: f"call-{secrets.token_hex(4)}")

    @property
    def metadata(self) -> list[tuple[str, str]]:
        parent = f"00-{self.trace_id}-{self.span_id}-01"
        return [("traceparent", parent), ("x-request-id", self.request_id)]


@attrs.frozen
class TracedEngine:
    """The engine, what it has told, and where its files are."""

    engine: LearningEngine
    receiver: OtlpReceiver
    folder: Path

    def log_lines(self, **facts: Any) -> list[dict[str, Any]]:
        """Return the lines of the log that have these facts."""
        return log_lines(self.engine.process.log_path, **facts)

    def submit_sleep(self, caller: Caller, seconds: float) -> str:
        """Have a job that sleeps accepted for a caller; return its id."""
        return submit(self.engine.process, caller, "sleep", seconds=seconds)


def log_lines(log_path: Path, **facts: Any) -> list[dict[str, Any]]:
    """Return the lines of a log that have these facts."""
    whole = log_path.read_text().rpartition("\n")[0]
    lines = [json.loads(line) for line in whole.splitlines()]
    return [line for line in lines if facts.items() <= line.items()]


@contextmanager
def traced_engine(
    folder: Path,
    receiver: OtlpReceiver,
    *,
    settings: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[TracedEngine]:
    """Run an engine in a prepared folder that tells a receiver; its workers can sleep."""
    with running_engine(
        folder,
        job_types=SLEEP,
        environment={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, **(environment or {})},
        settings=("log.format=json", "log.levels={rpc: debug, workers: debug}", *settings),
    ) as engine:
        yield TracedEngine(engine, receiver, folder)


def call(
    process: EngineProcess, port: str, method: str, request: Any, reply: Any, metadata: Any
) -> Any:
    """Call a method, given as Service/Method."""
    with grpc.insecure_channel(process.address(port)) as channel:
        ask = channel.unary_unary(
            f"/trellis.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        return ask(request, timeout=20, metadata=metadata)


def submit(process: EngineProcess, caller: Caller, job_type: str, **payload: Any) -> str:
    """Have a job accepted for a caller; return its id."""
    request = jobs_pb2.SubmitJobRequest(job_type=job_type, payload_json=json.dumps(payload))
    reply = jobs_pb2.SubmitJobResponse
    method = "JobService/SubmitJob"
    return str(call(process, "service_d", method, request, reply, caller.metadata).job_id)


def upload(world: TracedEngine, caller: Caller, content: bytes) -> str:
    """Upload profiles; return the job that reads them."""
    header = ingest_pb2.UploadHeader(
        dataset="profiles", filename="profiles.csv", content_type="text/csv"
    )
    messages = [
        ingest_pb2.UploadFileRequest(header=header),
        ingest_pb2.UploadFileRequest(chunk=content),
    ]
    with grpc.insecure_channel(world.engine.process.address("service_a")) as channel:
        ask = channel.stream_unary(
            "/trellis.v1.IngestService/UploadFile",
            request_serializer=ingest_pb2.UploadFileRequest.SerializeToString,
            response_deserializer=ingest_pb2.UploadFileResponse.FromString,
        )
        return str(ask(iter(messages), timeout=20, metadata=caller.metadata).job_id)


def find(receiver: OtlpReceiver, trace_id: str, name: str, count: int = 1) -> list[ReceivedSpan]:
    """Wait for spans of a trace, of which there are so many."""
    found = receiver.wait_for(lambda span: span.trace_id == trace_id and span.name == name, count)
    assert len(found) == count, [span.name for span in found]
    return found


def wait_for_worker_of(world: TracedEngine, job_id: str) -> int:
    """Return the process that does a job."""
    pids: list[int] = []

    def is_running() -> bool:
        request = workers_pb2.ListWorkersRequest()
        workers = world.engine.call("WorkerService/ListWorkers", request).workers
        pids[:] = [worker.pid for worker in workers if worker.job_id == job_id]
        return bool(pids)

    wait_until(is_running, 30.0)
    return pids[0]
