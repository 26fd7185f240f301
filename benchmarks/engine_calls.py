"""Calls of the engine's services with a foreign client, grpcio."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import grpc

from proto.trellis.v1 import features_pb2, ingest_pb2, jobs_pb2, monitor_pb2, workers_pb2
from tests.support.engine_process import EngineProcess

_CALL_S = 60.0
_SUBMITTING = 128
"""Calls in flight; the engine commits together what comes together."""


class EngineCalls:
    """Blocking calls over a channel a service; close it."""

    def __init__(self, engine: EngineProcess) -> None:
        self._uploads = grpc.insecure_channel(engine.address("service_a"))
        self._features = grpc.insecure_channel(engine.address("service_b"))
        self._jobs = grpc.insecure_channel(engine.address("service_d"))

    def close(self) -> None:
        for channel in (self._uploads, self._features, self._jobs):
            channel.close()

    def __enter__(self) -> "EngineCalls":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, job_type: str, **payload: Any) -> str:
        """Submit a job and return its id."""
        request = jobs_pb2.SubmitJobRequest(job_type=job_type, payload_json=json.dumps(payload))
        response = self._call(
            self._jobs, "JobService/SubmitJob", request, jobs_pb2.SubmitJobResponse
        )
        return str(response.job_id)

    def count_left(self) -> int:
        """Return how many jobs have not ended."""
        response = self._call(
            self._jobs, "JobService/GetQueue", jobs_pb2.GetQueueRequest(), jobs_pb2.GetQueueResponse
        )
        pools = [pool for pool in response.pools if pool.pool != "serve"]  # its job never ends
        return sum(pool.ready + pool.delayed + pool.leased for pool in pools)

    def get_job(self, job_id: str) -> Any:
        """Return a `Job` with its attempts."""
        request = jobs_pb2.GetJobRequest(job_id=job_id)
        return self._call(self._jobs, "JobService/GetJob", request, jobs_pb2.GetJobResponse).job

    def list_workers(self) -> list[Any]:
        """Return a `Worker` a slot."""
        response = self._call(
            self._jobs,
            "WorkerService/ListWorkers",
            workers_pb2.ListWorkersRequest(),
            workers_pb2.ListWorkersResponse,
        )
        return list(response.workers)

    def retrain(self, model: str) -> str:
        """Ask for a training and return its job's id."""
        request = monitor_pb2.RetrainRequest(model=model)
        response = self._call(
            self._jobs, "MonitorService/Retrain", request, monitor_pb2.RetrainResponse
        )
        return str(response.job_id)

    def upload(self, header: ingest_pb2.UploadHeader, chunks: Iterable[bytes]) -> str:
        """Send a file and return the upload's id."""

        def requests() -> Iterable[ingest_pb2.UploadFileRequest]:
            yield ingest_pb2.UploadFileRequest(header=header)
            for chunk in chunks:
                yield ingest_pb2.UploadFileRequest(chunk=chunk)

        call = self._uploads.stream_unary(
            "/trellis.v1.IngestService/UploadFile",
            request_serializer=ingest_pb2.UploadFileRequest.SerializeToString,
            response_deserializer=ingest_pb2.UploadFileResponse.FromString,
        )
        return str(call(iter(requests()), timeout=_CALL_S).upload_id)

    def get_upload(self, upload_id: str) -> Any:
        """Return the `Upload`."""
        request = ingest_pb2.GetUploadRequest(upload_id=upload_id)
        return self._call(
            self._uploads, "IngestService/GetUpload", request, ingest_pb2.GetUploadResponse
        ).upload

    def get_features(self, entity_key: int, features: list[str]) -> Any:
        """Return a `GetFeaturesResponse`."""
        request = features_pb2.GetFeaturesRequest(entity_key=entity_key, features=features)
        return self._call(
            self._features, "FeatureService/GetFeatures", request, features_pb2.GetFeaturesResponse
        )

    @staticmethod
    def _call(channel: grpc.Channel, method: str, request: Any, response: Any) -> Any:
        call = channel.unary_unary(
            f"/trellis.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return call(request, timeout=_CALL_S)


def submit_many(address: str, job_type: str, count: int) -> None:
    """Submit jobs without input, many calls at a time."""
    asyncio.run(_submit_many(address, job_type, count))


async def _submit_many(address: str, job_type: str, count: int) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(
            "/trellis.v1.JobService/SubmitJob",
            request_serializer=jobs_pb2.SubmitJobRequest.SerializeToString,
            response_deserializer=jobs_pb2.SubmitJobResponse.FromString,
        )
        numbers = iter(range(count))

        async def submit() -> None:
            for _ in numbers:
                await call(jobs_pb2.SubmitJobRequest(job_type=job_type), timeout=_CALL_S)

        await asyncio.gather(*(submit() for _ in range(_SUBMITTING)))
