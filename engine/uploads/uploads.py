"""Uploads: files taken in once, processed by a job, and asked about."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from engine.config import JobTypeConfig
from engine.config.definitions import UploadSpec
from engine.records import RequestWriter, Statement, WriteRequest
from engine.uploads.header import UploadHeader
from engine.uploads.lookup import UploadLookup, UploadView
from engine.uploads.ports import JobAcceptance, RowReader
from engine.uploads.receiving import Receiving, UploadReceipt
from engine.uploads.rules import UploadRules
from engine.uploads.staging import StagedUpload, Staging

_AS_BY_DEFAULT: Final = JobTypeConfig()


class Uploads:
    """The one way to uploads. Made by `open_uploads`; used from the Trio thread."""

    def __init__(
        self,
        jobs: JobAcceptance,
        rules: UploadRules,
        writer: RequestWriter,
        reader: RowReader,
        datasets: Mapping[str, UploadSpec],
        *,
        max_bytes: int,
        job_type: JobTypeConfig,
    ) -> None:
        self._receiving = Receiving(
            jobs,
            writer,
            reader,
            datasets,
            max_bytes=max_bytes,
            job_type=job_type,
            locks=rules.locks,
        )
        self._lookup = UploadLookup(reader)
        self._staged = rules.staged
        self._staging = Staging(writer, reader, rules.staged)

    @property
    def staged_rows(self) -> int:
        """How many rows of all attempts wait for the end of their job."""
        return self._staged.row_count

    async def receive(
        self, header: UploadHeader, chunks: AsyncIterator[bytes], request_id: str = ""
    ) -> UploadReceipt:
        """Take in a file: content and job are on disk when this returns.

        A file that is known by its idempotency key, or by its content within the dataset, leads to
        the known upload, unless nothing has come of that. A key it had not been known by stands for
        it from then on.

        Args:
          chunks: the file's bytes in order; read to the end unless the key is known.
        Raises:
          InvalidArgumentError: the header is malformed, or the content is not what it says.
          NotFoundError: there is no such dataset.
          ResourceExhaustedError: the file is larger than `uploads.max_bytes`.
          StoreError: the file cannot be written.
        Cancellation: a checkpoint; what was stored of the file is deleted, for 10 s at most. Once
          the job is being accepted the upload may exist all the same: sent again, it is known.
        """
        return await self._receiving.receive(header, chunks, request_id)

    async def get(self, upload_id: str) -> UploadView:
        """Return an upload. Raises NotFoundError if there is none."""
        return await self._lookup.get(upload_id)

    async def require_job(self, upload_id: str, job_id: str) -> None:
        """Raise NotFoundError or FailedPreconditionError unless an upload is this job's."""
        await self._staging.fetch_dataset(upload_id, job_id)

    def read_content(self, upload_id: str) -> AsyncGenerator[bytes, None]:
        """Iterate over a file's bytes, at most 1 MiB at a time.

        Raises: while iterating, NotFoundError if there is no such upload.
        """
        return self._lookup.read_content(upload_id)

    async def begin_staging(self, upload_id: str, job_id: str, token: str) -> StagedUpload:
        """Return what takes rows of an attempt, whose token the caller has checked.

        Raises:
          NotFoundError: there is no such upload.
          FailedPreconditionError: it is another job's.
        """
        return await self._staging.begin(upload_id, job_id, token)


@asynccontextmanager
async def open_uploads(
    jobs: JobAcceptance,
    rules: UploadRules,
    writer: RequestWriter,
    reader: RowReader,
    datasets: Mapping[str, UploadSpec],
    *,
    max_bytes: int,
    job_type: JobTypeConfig = _AS_BY_DEFAULT,
) -> AsyncIterator[Uploads]:
    """Provide the uploads; what an engine that was killed left of files is deleted first.

    Before any upload is received and any worker runs. At the end no more rows may be staged.

    Args:
      jobs: opened with the hooks of `rules`.
      datasets: what may be uploaded, by name.
      max_bytes: a larger file is refused.
      job_type: how the jobs are carried out that process the files.
    Raises:
      StoreError: the data file cannot be written.
    """
    await writer.submit(WriteRequest((Statement("delete_abandoned_uploads", {}),)))
    try:
        yield Uploads(jobs, rules, writer, reader, datasets, max_bytes=max_bytes, job_type=job_type)
    finally:
        rules.staged.discard_all()
