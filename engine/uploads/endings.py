"""What the end of a `process_upload` job means: its rows count, or nothing of it does."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
import pyarrow as pa
import trio

from engine.allocator import give_memory_back
from engine.clock import read_clock_us, to_datetime
from engine.errors import FailedPreconditionError, NotFoundError
from engine.jobs import ClaimedJob, EndedJob, JobState
from engine.records import (
    FEATURE_HISTORY_SCHEMA,
    AppendStream,
    LatestRows,
    Operation,
    Statement,
    Upsert,
)
from engine.store.queries import load_queries
from engine.uploads.latest import compute_latest
from engine.uploads.payload import read_upload_id
from engine.uploads.ports import RowReader
from engine.uploads.row_file import RowFile
from engine.uploads.staging import StagedRows

_QUERIES = load_queries("engine.uploads")
_OUTCOME_COLUMNS = ("upload_id", "status", "error_code", "error", "finished_at")
_MANY_ROWS = 200_000


class _Result(msgspec.Struct):
    rows_accepted: int
    rows_rejected: int


class UploadEndings:
    """The hooks of the job type; see `engine.jobs.hooks`."""

    def __init__(self, reader: RowReader, staged: StagedRows) -> None:
        self._reader = reader
        self._staged = staged

    async def complete(self, job: ClaimedJob, result: Mapping[str, Any]) -> tuple[Operation, ...]:
        """Return what makes an upload's rows count, once.

        Raises:
          NotFoundError: there is no such upload.
          FailedPreconditionError: not all of its rows have arrived, or they cannot be read.
          msgspec.ValidationError: the result is not one.
        """
        upload_id = read_upload_id(job.payload_json)
        counts = msgspec.convert(result, _Result)
        rows = await self._reader.fetch_rows(_QUERIES["fetch_target"], {"upload_id": upload_id})
        if not rows:
            raise NotFoundError("upload", upload_id)
        [(dataset, _)] = rows
        file = self._staged.open(upload_id, job.token, dataset)
        file.seal()
        if file.row_count != counts.rows_accepted:
            raise FailedPreconditionError(
                f"{file.row_count} rows of the upload {upload_id} have arrived, "
                f"not {counts.rows_accepted}"
            )
        self._staged.discard(upload_id, but=job.token)
        latest = await trio.to_thread.run_sync(_read_latest, file)
        return (
            AppendStream(
                "feature_history",
                FEATURE_HISTORY_SCHEMA,
                file,
                counts.rows_accepted,
                LatestRows(dataset, latest),
            ),
            Upsert(
                "uploads",
                (*_OUTCOME_COLUMNS, "rows_accepted", "rows_rejected"),
                [
                    (
                        upload_id,
                        "COMPLETED",
                        None,
                        None,
                        to_datetime(read_clock_us()),
                        counts.rows_accepted,
                        counts.rows_rejected,
                    )
                ],
            ),
            Statement("delete_other_rejects", {"upload_id": upload_id, "job_token": job.token}),
        )

    def fail(self, ended: EndedJob) -> tuple[Operation, ...]:
        """Return what becomes of an upload whose job gave no result; its rejects are kept."""
        upload_id = read_upload_id(ended.payload_json)
        status = "CANCELLED" if ended.state is JobState.CANCELLED else "FAILED"
        row = (upload_id, status, ended.code, ended.message, to_datetime(read_clock_us()))
        self._staged.discard(upload_id)
        return (Upsert("uploads", _OUTCOME_COLUMNS, [row]),)


def _read_latest(file: RowFile) -> pa.RecordBatch:
    try:
        with closing(file.read()) as batches:
            latest = compute_latest(batches)
    except OSError as error:
        raise FailedPreconditionError(f"the rows cannot be read: {error}") from error
    if file.row_count >= _MANY_ROWS:
        # What staging and this have left, before the rows are written, which takes as much again.
        give_memory_back()
    return latest
