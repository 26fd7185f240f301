"""Takes files in: content, acceptance of the job, receipt; in this order."""

from collections.abc import AsyncIterator, Mapping, Sequence

import attrs

from engine.clock import read_clock_us, to_datetime
from engine.config import JobTypeConfig
from engine.config.definitions import UploadSpec
from engine.errors import InvalidArgumentError
from engine.jobs import JobSpec
from engine.records import RequestWriter, Upsert, WriteRequest
from engine.store.queries import load_queries
from engine.uploads.content import Content, discard_content, receive_content
from engine.uploads.header import UploadHeader, check_header
from engine.uploads.key_locks import KeyLocks
from engine.uploads.keys import key_of_content, key_of_sender, key_of_successor
from engine.uploads.ports import JobAcceptance, RowReader

UPLOAD_JOB_TYPE = "process_upload"

_QUERIES = load_queries("engine.uploads")
_COLUMNS = (
    "upload_id",
    "filename",
    "dataset",
    "content_type",
    "size_bytes",
    "sha256",
    "content",
    "received_at",
    "job_id",
    "status",
)


@attrs.frozen
class UploadReceipt:
    """Proof that a file and its job are on disk."""

    upload_id: str
    job_id: str
    size_bytes: int
    sha256: str
    received_at_us: int
    duplicate: bool
    """The file was known; of it nothing was written."""


@attrs.frozen
class _Found:
    """What there is under some keys."""

    known: UploadReceipt | None
    passed: tuple[str, ...] = ()
    """Keys that do not stand for what is known: for nothing yet, or for an upload that failed."""
    failed: tuple[str, ...] = ()
    """Uploads of which nothing has come: another takes their place."""

    @property
    def lacking(self) -> tuple[str, ...]:
        """Keys of the upload that the file is, if they are all to stand for it."""
        return (*self.passed, *map(key_of_successor, self.failed))


class Receiving:
    """Used from the Trio thread."""

    def __init__(
        self,
        jobs: JobAcceptance,
        writer: RequestWriter,
        reader: RowReader,
        datasets: Mapping[str, UploadSpec],
        *,
        max_bytes: int,
        job_type: JobTypeConfig,
        locks: KeyLocks,
    ) -> None:
        self._jobs = jobs
        self._writer = writer
        self._reader = reader
        self._datasets = datasets
        self._max_bytes = max_bytes
        self._job_type = job_type
        self._locks = locks

    async def receive(
        self, header: UploadHeader, chunks: AsyncIterator[bytes], request_id: str = ""
    ) -> UploadReceipt:
        """Take in a file; see `Uploads.receive`."""
        dataset = check_header(header, self._datasets, max_bytes=self._max_bytes)
        keys = [key_of_sender(header.idempotency_key)] if header.idempotency_key else []
        found = await self._find(keys)
        if found.known is not None:
            return found.known
        upload_id = self._jobs.new_job_id()
        content = await receive_content(self._writer, upload_id, chunks, max_bytes=self._max_bytes)
        receipt = None
        try:
            _check_content(header, content)
            keys.append(key_of_content(header.dataset, content.sha256))
            # Of two uploads that are the same, the second finds the first.
            async with self._locks.hold(keys):
                found = await self._find(keys)
                if found.known is None:
                    receipt = await self._accept(
                        upload_id, header, dataset, content, found.lacking, request_id
                    )
                else:
                    await self._own(found.known.upload_id, found.lacking)
                    receipt = found.known
        finally:
            if content.inline is None and (receipt is None or receipt.duplicate):
                await discard_content(self._writer, upload_id)
        return receipt

    async def _find(self, keys: Sequence[str]) -> _Found:
        failed: list[str] = []
        for number, key in enumerate(keys):
            rows = await self._reader.fetch_rows(_QUERIES["find_by_key"], {"key": key})
            for upload_id, job_id, size_bytes, sha256, received_at_us, has_failed in rows:
                if not has_failed:
                    known = UploadReceipt(
                        upload_id, job_id, size_bytes, sha256, received_at_us, duplicate=True
                    )
                    return _Found(known, tuple(keys[:number]), tuple(failed))
                failed.append(upload_id)
        return _Found(None, tuple(keys), tuple(failed))

    async def _own(self, upload_id: str, keys: Sequence[str]) -> None:
        """Have keys stand for a known upload: what it is called, it is called for good."""
        if keys:
            await self._writer.submit(WriteRequest((_write_keys(upload_id, keys),)))

    async def _accept(
        self,
        upload_id: str,
        header: UploadHeader,
        dataset: UploadSpec,
        content: Content,
        keys: Sequence[str],
        request_id: str,
    ) -> UploadReceipt:
        received_at_us = read_clock_us()
        job_id = self._jobs.new_job_id()
        row = (
            upload_id,
            header.filename,
            header.dataset,
            header.content_type,
            content.size_bytes,
            content.sha256,
            content.inline,
            to_datetime(received_at_us),
            job_id,
            "RECEIVED",
        )
        payload = _payload(upload_id, header, dataset, content, received_at_us)
        await self._jobs.submit(
            JobSpec(
                UPLOAD_JOB_TYPE,
                payload,
                pool=self._job_type.pool,
                max_attempts=self._job_type.max_attempts,
                request_id=request_id,
            ),
            (
                Upsert("uploads", _COLUMNS, [row]),
                _write_keys(upload_id, keys),
            ),
            job_id,
        )
        return UploadReceipt(
            upload_id,
            job_id,
            content.size_bytes,
            content.sha256,
            received_at_us,
            duplicate=False,
        )


def _write_keys(upload_id: str, keys: Sequence[str]) -> Upsert:
    return Upsert("upload_keys", ("upload_key", "upload_id"), [(key, upload_id) for key in keys])


def _check_content(header: UploadHeader, content: Content) -> None:
    if header.size_bytes is not None and header.size_bytes != content.size_bytes:
        raise InvalidArgumentError(
            "size_bytes", f"says {header.size_bytes}, and {content.size_bytes} bytes came"
        )
    if header.sha256 and header.sha256.lower() != content.sha256:
        raise InvalidArgumentError("sha256", f"differs from that of what came, {content.sha256}")


def _payload(
    upload_id: str,
    header: UploadHeader,
    dataset: UploadSpec,
    content: Content,
    received_at_us: int,
) -> dict[str, object]:
    """Return what the job is told: the dataset as it is defined now."""
    return {
        "upload_id": upload_id,
        "filename": header.filename,
        "content_type": header.content_type,
        "size_bytes": content.size_bytes,
        "received_at_us": received_at_us,
        "dataset": {
            "name": header.dataset,
            "entity_key": dataset.entity_key,
            "time_column": dataset.time_column,
            "columns": dict(dataset.columns),
        },
    }
