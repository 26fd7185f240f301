"""`trellis.v1.ModelDataService`: what jobs of models read and write, each under its lease."""

import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from engine.errors import FailedPreconditionError, InvalidArgumentError
from engine.jobs import ClaimedJob
from engine.models import BlobRef, ModelRegistry, TrainedArtifact
from engine.serving.artifacts import Artifacts
from engine.serving.residents import SCORE
from engine.serving.rows import VersionKey
from engine.serving.scorers import Scorer
from engine.serving.scoring import Report, Scoring
from engine.serving.wire import encode_rows
from engine.workers.supervisor import Supervisor
from proto.trellis.v1 import model_data_pb2 as pb
from proto.trellis.v1.model_data_grpc import ModelDataServiceServicer

# ruff: noqa: N802 - the methods are named by the API

_WAIT_MAX_S: Final = 10.0
_LOADED_MAX: Final = 1_024

_TRAIN: Final = "train"

RowSource = Callable[[ClaimedJob], AsyncGenerator[bytes, None]]
"""Yields the rows that a job's payload asks for, an Arrow stream."""


class ModelDataService(ModelDataServiceServicer):  # type: ignore[misc]  # generated code, no types
    """On the control port: checks the lease and what the job is entitled to, then delegates."""

    def __init__(
        self,
        supervisor: Supervisor,
        models: ModelRegistry,
        artifacts: Artifacts,
        scoring: Scoring,
        row_sources: Mapping[str, RowSource],
    ) -> None:
        """Make it.

        Args:
          row_sources: by the type of job that may read rows.
        """
        self._supervisor = supervisor
        self._models = models
        self._artifacts = artifacts
        self._scoring = scoring
        self._row_sources = row_sources

    async def ReadRows(
        self, input_message: pb.ReadRowsRequest
    ) -> AsyncGenerator[pb.ReadRowsResponse, None]:
        """Send a job's rows. See `model_data.proto`."""
        job = self._require(input_message.lease)
        source = self._row_sources.get(job.job_type)
        if source is None:
            raise FailedPreconditionError(f"a job of type {job.job_type!r} has no rows to read")
        async with aclosing(source(job)) as parts:
            async for part in parts:
                # Anew for each part: the job may have been taken from the worker meanwhile.
                self._require(input_message.lease)
                yield pb.ReadRowsResponse(content=part)

    async def ReadArtifact(
        self, input_message: pb.ReadArtifactRequest
    ) -> AsyncGenerator[pb.ReadArtifactResponse, None]:
        """Send a part of a version. See `model_data.proto`."""
        request = input_message
        job = self._require(request.lease)
        if not _may_read(job, request.model, request.version, request.part):
            raise FailedPreconditionError(
                f"this job of type {job.job_type!r} has no business with that part of version "
                f"{request.version} of {request.model[:80]!r}"
            )
        trained = self._models.find(request.model).find(request.version).trained
        if trained is None:
            raise FailedPreconditionError(f"version {request.version} was never trained")
        ref = _part_of(trained, request.part)
        sha256 = ref.sha256
        async with aclosing(self._artifacts.read(ref)) as parts:
            async for part in parts:
                self._require(request.lease)
                yield pb.ReadArtifactResponse(content=part, sha256=sha256)
                sha256 = ""

    async def StoreArtifact(
        self, input_messages: AsyncIterator[pb.StoreArtifactRequest]
    ) -> pb.StoreArtifactResponse:
        """Store a part of what a training made. See `model_data.proto`."""
        messages = aiter(input_messages)
        first = await anext(messages, None)
        if first is None:
            raise InvalidArgumentError("lease", "is missing: there was no message")
        job = self._require(first.lease)
        if job.job_type != _TRAIN:
            raise FailedPreconditionError(f"a job of type {job.job_type!r} makes no version")
        if first.part not in (pb.ARTIFACT_PART_PIPELINE, pb.ARTIFACT_PART_REFERENCE):
            raise InvalidArgumentError("part", "is missing")
        async with aclosing(self._contents(first, messages)) as contents:
            ref = await self._artifacts.put(contents)
        return pb.StoreArtifactResponse(name=ref.name, sha256=ref.sha256, size_bytes=ref.size_bytes)

    async def ExchangeBatch(
        self, input_message: pb.ExchangeBatchRequest
    ) -> pb.ExchangeBatchResponse:
        """Take what came of a batch, hand out the next. See `model_data.proto`."""
        request = input_message
        lease = request.lease
        job = self._require(lease)
        if job.job_type != SCORE:
            raise FailedPreconditionError(f"a job of type {job.job_type!r} does not score")
        reply = await self._scoring.exchange(
            Scorer(lease.worker_id, lease.job_id, lease.token),
            Report(
                request.batch,
                request.predictions,
                request.error_code,
                request.error,
                _read_loaded(request.loaded),
            ),
            min(max(0.0, request.wait_ms / 1_000), _WAIT_MAX_S),
        )
        response = pb.ExchangeBatchResponse(
            forget=[f"{model}/{version}" for model, version in reply.forget], leave=reply.leave
        )
        batch = reply.batch
        if batch is not None:
            response.batch = batch.number
            response.model, response.version = batch.of.key
            if batch.rows:
                response.rows = encode_rows(batch.of.schema, batch.rows)
                request_ids, trace_ids = batch.find_callers()
                response.request_ids.extend(request_ids)
                if trace_ids:
                    response.trace_ids.extend(trace_ids)
        return response

    def _require(self, lease: pb.Lease) -> ClaimedJob:
        return self._supervisor.require_job(lease.worker_id, lease.job_id, lease.token)

    async def _contents(
        self, first: pb.StoreArtifactRequest, rest: AsyncIterable[pb.StoreArtifactRequest]
    ) -> AsyncGenerator[bytes, None]:
        yield first.content
        async for message in rest:
            if message.HasField("lease") or message.part != pb.ARTIFACT_PART_UNSPECIFIED:
                raise InvalidArgumentError("lease", "another part begins; each has its own call")
            self._require(first.lease)
            yield message.content
        # Once more at its end, which may have been long in coming.
        self._require(first.lease)


def _may_read(job: ClaimedJob, model: str, version: int, part: int) -> bool:
    """Return whether a job is about a part of a version."""
    pipeline = part == pb.ARTIFACT_PART_PIPELINE
    payload: Mapping[str, Any] = json.loads(job.payload_json)
    match job.job_type:
        case "score":
            return pipeline
        case "train":
            named = (payload.get("model"), payload.get("champion_version"))
            return pipeline and named == (model, version)
        case "detect_drift":
            named = (payload.get("model"), payload.get("version"))
            return named == (model, version)
        case _:
            return False


def _part_of(trained: TrainedArtifact, part: int) -> BlobRef:
    match part:
        case pb.ARTIFACT_PART_PIPELINE:
            return trained.pipeline
        case pb.ARTIFACT_PART_REFERENCE:
            return trained.reference
        case _:
            raise InvalidArgumentError("part", "is missing")


def _read_loaded(names: Any) -> frozenset[VersionKey]:
    """Return versions written as `model/version`."""
    if len(names) > _LOADED_MAX:
        raise InvalidArgumentError("loaded", f"{len(names)} versions; at most {_LOADED_MAX}")
    loaded = set()
    for name in names:
        model, slash, version = name.rpartition("/")
        if not slash or not version.isdecimal():
            raise InvalidArgumentError("loaded", f"{name[:80]!r} is not model/version")
        loaded.add((model, int(version)))
    return frozenset(loaded)
