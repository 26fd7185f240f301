"""The engine's side of what trainings read and store, played from memory."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator

import pyarrow as pa

from engine.errors import DataLossError, FailedPreconditionError, UnavailableError
from proto.trellis.v1 import model_data_pb2 as pb
from proto.trellis.v1.model_data_grpc import ModelDataServiceServicer
from tests.support.training_rows import stream

# ruff: noqa: N802 - the methods are named by the API

_PART_BYTES = 50_000


class ModelDataPlayer(ModelDataServiceServicer):
    """Gives every job the same rows, keeps what it stores by job and part."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.champion: bytes | None = None
        self.champion_sha256 = ""
        self.stored: dict[tuple[str, str], bytes] = {}
        self.is_store_away = False
        self.refusal = ""
        """Of rows, if there is one."""

    async def ReadRows(
        self, input_message: pb.ReadRowsRequest
    ) -> AsyncGenerator[pb.ReadRowsResponse, None]:
        if self.refusal:
            raise FailedPreconditionError(self.refusal)
        content = stream(self.rows)
        for begin in range(0, len(content), _PART_BYTES):
            yield pb.ReadRowsResponse(content=content[begin : begin + _PART_BYTES])

    async def ReadArtifact(
        self, input_message: pb.ReadArtifactRequest
    ) -> AsyncGenerator[pb.ReadArtifactResponse, None]:
        if self.champion is None:
            raise DataLossError("its bytes are gone")
        yield pb.ReadArtifactResponse(content=self.champion, sha256=self.champion_sha256)

    async def StoreArtifact(
        self, input_messages: AsyncIterator[pb.StoreArtifactRequest]
    ) -> pb.StoreArtifactResponse:
        first = await anext(input_messages)
        content = first.content
        async for message in input_messages:
            content += message.content
        if self.is_store_away:
            raise UnavailableError("the blob store is away")
        self.stored[first.lease.job_id, pb.ArtifactPart.Name(first.part)] = content
        sha256 = hashlib.sha256(content).hexdigest()
        return pb.StoreArtifactResponse(
            name=f"models/{sha256}", sha256=sha256, size_bytes=len(content)
        )
