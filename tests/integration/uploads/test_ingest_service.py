"""The gRPC edge of uploads."""

from contextlib import aclosing

import pytest

from engine.errors import InvalidArgumentError, NotFoundError
from engine.services.ingest_service import IngestService
from engine.uploads import RejectedRow
from proto.trellis.v1 import ingest_pb2 as pb

HEADER = pb.UploadFileRequest(header=pb.UploadHeader(dataset="profiles", filename="a.json"))


async def upload(desk, *messages):
    async def stream():
        for message in messages:
            yield message

    async with aclosing(stream()) as requests:
        return await IngestService(desk.uploads).UploadFile(requests)


async def test_uploaded_file_is_told_of_until_it_has_completed(desk):
    service = IngestService(desk.uploads)
    reply = await upload(desk, HEADER, *(pb.UploadFileRequest(chunk=c) for c in (b"[", b"", b"]")))
    assert (reply.size_bytes, reply.duplicate) == (2, False)
    request = pb.GetUploadRequest(upload_id=reply.upload_id)
    assert (await service.GetUpload(request)).upload.status == pb.UPLOAD_STATUS_RECEIVED

    job = await desk.claim()
    staged = await desk.uploads.begin_staging(reply.upload_id, job.job_id, job.token)
    await staged.add_rejects([RejectedRow(1, "age", "bad", "no", "'x'")])
    assert (await desk.complete(job, 0, 1)).accepted

    told = (await service.GetUpload(request)).upload
    assert told.status == pb.UPLOAD_STATUS_COMPLETED
    assert (told.filename, told.rows_rejected, told.job_id) == ("a.json", 1, reply.job_id)
    assert told.rejects[0] == pb.RejectedUploadRow(
        row=1, column="age", reason="bad", detail="no", excerpt="'x'"
    )
    assert told.finished_at.seconds >= told.received_at.seconds > 0


@pytest.mark.parametrize(
    "messages",
    [(), (pb.UploadFileRequest(chunk=b"x"),), (HEADER, HEADER)],
    ids=["nothing", "no header", "two headers"],
)
async def test_header_comes_first_and_once(desk, messages):
    with pytest.raises(InvalidArgumentError, match="header"):
        await upload(desk, *messages)

    assert await desk.count("uploads") == 0


async def test_unknown_upload_is_not_found(desk):
    with pytest.raises(NotFoundError):
        await IngestService(desk.uploads).GetUpload(pb.GetUploadRequest(upload_id="none"))
