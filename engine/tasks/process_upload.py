"""The job `process_upload`: an uploaded file becomes staged rows of its dataset.

The rows count once the job succeeds, all of them at once; until then, and if it fails, there are
none. The rejects explain what is missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from engine.tasks.errors import PermanentJobError
from engine.tasks.parsing import (
    Batch,
    Dataset,
    Format,
    ParsedUpload,
    RefusedFileError,
    Tally,
    TimeRules,
    open_upload,
)

MAX_REJECTS = 1_000
"""Most rejects that are sent. Nobody reads further, and all are counted."""


class _DatasetPayload(msgspec.Struct, frozen=True):
    name: str
    entity_key: str
    time_column: str
    columns: dict[str, str]


class _Payload(msgspec.Struct, frozen=True):
    """What the acceptance of an upload writes into the job; times in microseconds since 1970 UTC.

    The dataset is that of the acceptance: a definition changed since applies to later uploads.
    """

    upload_id: str
    filename: str
    content_type: str
    size_bytes: int
    received_at_us: int
    dataset: _DatasetPayload


class UploadJob(Protocol):
    """What of a `JobContext` this job needs."""

    payload: Mapping[str, Any]
    scratch: Path

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        """Say that the job has come further."""

    def read_upload(self, upload_id: str) -> Iterator[bytes]:
        """Yield the file."""

    def stage_rows(self, upload_id: str, parts: Iterable[Batch]) -> Any:
        """Send rows ahead, each part as it is made."""


def run(job: UploadJob) -> dict[str, Any]:
    """Parse the upload, stage its rows and rejects, and return what became of them in numbers.

    Raises:
      PermanentJobError: the file cannot be taken; code and message say why to its sender.
      OSError: the worker's scratch folder cannot be written.
    """
    payload = msgspec.convert(job.payload, _Payload)
    dataset = Dataset(
        payload.dataset.name,
        payload.dataset.entity_key,
        payload.dataset.time_column,
        tuple(sorted(payload.dataset.columns.items())),
    )
    try:
        with open_upload(
            _read(job, payload),
            dataset=dataset,
            rules=TimeRules.at(payload.received_at_us),
            filename=payload.filename,
            content_type=payload.content_type,
            scratch=job.scratch,
        ) as upload:
            staging = _Staging(job, payload, upload)
            job.stage_rows(payload.upload_id, staging.parts())
            tally = staging.finish()
    except RefusedFileError as error:
        raise PermanentJobError(error.code, str(error)) from None
    return {
        "format": str(upload.format),
        **tally.summary(),
        "unknown_columns": list(upload.unknown.names),
        "more_unknown_columns": upload.unknown.are_more,
    }


def _read(job: UploadJob, payload: _Payload) -> Iterator[bytes]:
    for chunk in job.read_upload(payload.upload_id):
        job.advance(len(chunk))
        yield chunk


class _Staging:
    """A file's batches on their way to the engine, counted."""

    def __init__(self, job: UploadJob, payload: _Payload, upload: ParsedUpload) -> None:
        self._job = job
        self._size_bytes = payload.size_bytes
        self._upload = upload
        self._tally = Tally()
        self._refusal: RefusedFileError | None = None

    def parts(self) -> Iterator[Batch]:
        """Yield the batches up to the end, or to where the file is refused."""
        room = MAX_REJECTS
        try:
            for batch in self._upload.batches:
                self._tally.add(batch, self._size_bytes)
                rejects = batch.rejects[:room]
                room -= len(rejects)
                yield Batch(batch.rows, rejects)
                self._note_progress(batch)
            self._tally.check_any_is_good()
        except RefusedFileError as error:
            # Raised here it would break off the sending, and the rejects that explain it be lost.
            self._refusal = error

    def finish(self) -> Tally:
        """Return what the batches were in numbers, once all are sent.

        Raises:
          RefusedFileError: the file is refused.
        """
        if self._refusal is not None:
            raise self._refusal
        return self._tally

    def _note_progress(self, batch: Batch) -> None:
        note = f"{self._tally.rows_accepted + self._tally.rows_rejected} rows"
        if self._upload.format is Format.PARQUET:
            # All its bytes are read before the first row.
            self._job.advance(batch.row_count, note=note)
        else:
            self._job.advance(0, total=self._size_bytes, note=note)
