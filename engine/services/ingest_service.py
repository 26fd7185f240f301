"""`trellis.v1.IngestService`: files whose rows become feature values."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol

from engine.errors import InvalidArgumentError
from engine.rpc import current_request_id
from engine.services.feature_rows import set_time
from engine.uploads import UploadHeader, UploadReceipt, UploadView
from proto.trellis.v1 import ingest_pb2
from proto.trellis.v1.ingest_grpc import IngestServiceServicer

_STATUS = {
    "RECEIVED": ingest_pb2.UPLOAD_STATUS_RECEIVED,
    "COMPLETED": ingest_pb2.UPLOAD_STATUS_COMPLETED,
    "FAILED": ingest_pb2.UPLOAD_STATUS_FAILED,
    "CANCELLED": ingest_pb2.UPLOAD_STATUS_CANCELLED,
}


class UploadStore(Protocol):
    """What the service needs of the uploads."""

    async def receive(
        self, header: UploadHeader, chunks: AsyncIterator[bytes], request_id: str = ""
    ) -> UploadReceipt:
        """Take in a file."""

    async def get(self, upload_id: str) -> UploadView:
        """Return an upload."""


class IngestService(IngestServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks the uploads, encodes."""

    def __init__(self, uploads: UploadStore) -> None:
        self._uploads = uploads

    async def UploadFile(  # noqa: N802
        self, input_messages: AsyncIterator[ingest_pb2.UploadFileRequest]
    ) -> ingest_pb2.UploadFileResponse:
        """Take in a file. See `ingest.proto`."""
        messages = aiter(input_messages)
        header = _read_header(await anext(messages, None))
        async with aclosing(_chunks(messages)) as chunks:
            receipt = await self._uploads.receive(header, chunks, current_request_id())
        response = ingest_pb2.UploadFileResponse(
            upload_id=receipt.upload_id,
            job_id=receipt.job_id,
            size_bytes=receipt.size_bytes,
            sha256=receipt.sha256,
            duplicate=receipt.duplicate,
        )
        set_time(response.received_at, receipt.received_at_us)
        return response

    async def GetUpload(  # noqa: N802
        self, input_message: ingest_pb2.GetUploadRequest
    ) -> ingest_pb2.GetUploadResponse:
        """Answer with what became of an upload. See `ingest.proto`."""
        view = await self._uploads.get(input_message.upload_id)
        return ingest_pb2.GetUploadResponse(upload=_encode(view))


async def _chunks(
    messages: AsyncIterator[ingest_pb2.UploadFileRequest],
) -> AsyncGenerator[bytes, None]:
    async for message in messages:
        if message.WhichOneof("content") == "header":
            raise InvalidArgumentError("header", "comes once, before the content")
        yield message.chunk


def _read_header(message: ingest_pb2.UploadFileRequest | None) -> UploadHeader:
    if message is None or message.WhichOneof("content") != "header":
        raise InvalidArgumentError("header", "is missing; it comes before the content")
    header = message.header
    return UploadHeader(
        dataset=header.dataset,
        filename=header.filename,
        content_type=header.content_type,
        idempotency_key=header.idempotency_key,
        size_bytes=header.size_bytes if header.HasField("size_bytes") else None,
        sha256=header.sha256,
    )


def _encode(view: UploadView) -> ingest_pb2.Upload:
    message = ingest_pb2.Upload(
        upload_id=view.upload_id,
        dataset=view.dataset,
        filename=view.filename,
        content_type=view.content_type,
        size_bytes=view.size_bytes,
        sha256=view.sha256,
        status=_STATUS[view.status],
        job_id=view.job_id,
        rows_accepted=view.rows_accepted,
        rows_rejected=view.rows_rejected,
        error_code=view.error_code,
        error=view.error,
        rejects=[
            ingest_pb2.RejectedUploadRow(
                row=reject.row,
                column=reject.column,
                reason=reject.reason,
                detail=reject.detail,
                excerpt=reject.excerpt,
            )
            for reject in view.rejects
        ],
    )
    set_time(message.received_at, view.received_at_us)
    if view.finished_at_us is not None:
        set_time(message.finished_at, view.finished_at_us)
    return message
