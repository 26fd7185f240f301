"""`ModelData` over gRPC."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from engine.rpc import RpcFailedError, StatusCode
from engine.rpc.client import BlockingChannel, bind
from engine.tasks.guarded import GuardedConnection
from engine.tasks.hand import Job
from engine.tasks.model_data import (
    ArtifactError,
    ArtifactUnavailableError,
    NextBatch,
    Part,
    ScoredBatch,
    StoredPart,
)
from proto.trellis.v1 import model_data_pb2 as pb
from proto.trellis.v1.model_data_grpc import ModelDataServiceServicer

_STREAM_S: Final = 3600.0  # the job's stall limit is the real bound
_ANSWER_S: Final = 10.0  # beyond the time that the engine was asked to wait
_CHUNK_BYTES: Final = 1 << 20

_PARTS: Final = {
    "pipeline": pb.ARTIFACT_PART_PIPELINE,
    "reference": pb.ARTIFACT_PART_REFERENCE,
}
_ARTIFACT_CODES: Final = {
    StatusCode.NOT_FOUND: "artifact_missing",
    StatusCode.DATA_LOSS: "artifact_corrupt",
}


class ModelLink:
    """A `ModelData` over two connections: parts are read and stored while rows are read."""

    def __init__(
        self,
        worker_id: str,
        open_channel: Callable[[], BlockingChannel],
        mapped_errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Connect when the first call needs it.

        Args:
          mapped_errors: turns statuses of the engine into the errors of a link.
        """
        self._worker_id = worker_id
        self._mapped_errors = mapped_errors
        self._connection = GuardedConnection(open_channel())
        self._row_connection = GuardedConnection(open_channel())
        self._service = bind(ModelDataServiceServicer, self._connection.channel)
        self._row_service = bind(ModelDataServiceServicer, self._row_connection.channel)

    def close(self) -> None:
        """Close the connections; the next call opens another."""
        self._connection.close()
        self._row_connection.close()

    def read_rows(self, job: Job) -> Iterator[bytes]:
        """Yield the rows that a job asks for."""
        request = pb.ReadRowsRequest(lease=self._lease(job))
        with self._row_connection.guarded(), self._mapped_errors():
            for response in self._row_service.ReadRows(request, timeout_s=_STREAM_S):
                yield response.content

    def read_part(self, job: Job, model: str, version: int, part: Part) -> Iterator[bytes]:
        """Yield a part of a version; what it is worth is known at its end."""
        request = pb.ReadArtifactRequest(
            lease=self._lease(job), model=model, version=version, part=_PARTS[part]
        )
        with self._connection.guarded(), self._mapped_errors():
            digest, wanted = hashlib.sha256(), ""
            try:
                for response in self._service.ReadArtifact(request, timeout_s=_STREAM_S):
                    wanted = wanted or response.sha256
                    digest.update(response.content)
                    yield response.content
            except RpcFailedError as error:
                status = error.status
                if status.status_code is StatusCode.UNAVAILABLE:
                    raise ArtifactUnavailableError(status.status_message) from None
                code = _ARTIFACT_CODES.get(status.status_code)
                if code is None:
                    raise
                raise ArtifactError(code, status.status_message) from None
            if digest.hexdigest() != wanted:
                raise ArtifactError("artifact_corrupt", "it was changed on its way")

    def store_part(self, job: Job, part: Part, content: Iterable[bytes]) -> StoredPart:
        """Store a part of what the job makes."""
        digest = hashlib.sha256()

        def requests() -> Iterator[pb.StoreArtifactRequest]:
            yield pb.StoreArtifactRequest(lease=self._lease(job), part=_PARTS[part])
            for chunk in content:
                view = memoryview(chunk)
                for begin in range(0, len(view), _CHUNK_BYTES):
                    piece = bytes(view[begin : begin + _CHUNK_BYTES])
                    digest.update(piece)
                    yield pb.StoreArtifactRequest(content=piece)

        response = self._call(self._service.StoreArtifact, requests(), _STREAM_S)
        if response.sha256 != digest.hexdigest():
            raise ArtifactError("artifact_corrupt", "it was changed on its way")
        return StoredPart(response.name, response.sha256, response.size_bytes)

    def exchange_batch(
        self, job: Job, scored: ScoredBatch | None, wait_s: float, loaded: Iterable[str]
    ) -> NextBatch:
        """Deliver a batch and wait for the next one."""
        request = pb.ExchangeBatchRequest(
            lease=self._lease(job), wait_ms=int(wait_s * 1000), loaded=loaded
        )
        if scored is not None:
            request.batch = scored.number
            request.predictions = scored.predictions
            request.error_code = scored.error_code
            request.error = scored.error
        response = self._call(self._service.ExchangeBatch, request, wait_s + _ANSWER_S)
        return NextBatch(
            response.batch,
            response.model,
            response.version,
            response.rows,
            tuple(response.forget),
            response.leave,
            tuple(response.request_ids),
            tuple(response.trace_ids),
        )

    def _lease(self, job: Job) -> pb.Lease:
        return pb.Lease(worker_id=self._worker_id, job_id=job.job_id, token=job.token)

    def _call(self, method: Callable[..., Any], request: Any, timeout_s: float) -> Any:
        with self._connection.guarded(), self._mapped_errors():
            return method(request, timeout_s=timeout_s)
