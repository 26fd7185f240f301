"""What the end of a `process_upload` job means: its rows count, or nothing of it does."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow as pa
import trio

from engine.errors import FailedPreconditionError, NotFoundError
from engine.jobs import ClaimedJob, EndedJob, JobState
from engine.records import LATEST_ROWS_SCHEMA, LatestRows, Operation, Statement, Upsert
from engine.store.queries import load_queries
from engine.uploads.payload import read_upload_id
from engine.uploads.ports import RowReader
from engine.uploads.receiving import now_timestamp

_QUERIES = load_queries("engine.uploads")
_OUTCOME_COLUMNS = ("upload_id", "status", "error_code", "error", "finished_at")


class _Result(msgspec.Struct):
    rows_accepted: int
    rows_rejected: int


class UploadEndings:
    """The hooks of the job type; see `engine.jobs.hooks`."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader

    async def complete(self, job: ClaimedJob, result: Mapping[str, Any]) -> tuple[Operation, ...]:
        """Return what makes an upload's rows count, once.

        Raises:
          NotFoundError: there is no such upload.
          FailedPreconditionError: not all of its rows have arrived.
          msgspec.ValidationError: the result is not one.
        """
        upload_id = read_upload_id(job.payload_json)
        counts = msgspec.convert(result, _Result)
        of_upload = {"upload_id": upload_id}
        of_attempt = {**of_upload, "job_token": job.token}
        rows = await self._reader.fetch_rows(_QUERIES["fetch_target"], of_upload)
        if not rows:
            raise NotFoundError("upload", upload_id)
        [(dataset, _)] = rows
        [(staged,)] = await self._reader.fetch_rows(_QUERIES["count_staged"], of_attempt)
        if staged != counts.rows_accepted:
            raise FailedPreconditionError(
                f"{staged} rows of the upload {upload_id} have arrived, not {counts.rows_accepted}"
            )
        latest = await self._reader.fetch_arrow(_QUERIES["fetch_latest"], of_attempt)
        latest_rows = await trio.to_thread.run_sync(_in_one_piece, latest)
        return (
            Statement("move_staged_rows", of_attempt, applies=LatestRows(dataset, latest_rows)),
            Upsert(
                "uploads",
                (*_OUTCOME_COLUMNS, "rows_accepted", "rows_rejected"),
                [
                    (
                        upload_id,
                        "COMPLETED",
                        None,
                        None,
                        now_timestamp(),
                        counts.rows_accepted,
                        counts.rows_rejected,
                    )
                ],
            ),
            Statement("delete_staged_rows", of_upload),
            Statement("delete_other_rejects", of_attempt),
        )

    def fail(self, ended: EndedJob) -> tuple[Operation, ...]:
        """Return what becomes of an upload whose job gave no result; its rejects are kept."""
        upload_id = read_upload_id(ended.payload_json)
        status = "CANCELLED" if ended.state is JobState.CANCELLED else "FAILED"
        row = (upload_id, status, ended.code, ended.message, now_timestamp())
        return (
            Upsert("uploads", _OUTCOME_COLUMNS, [row]),
            Statement("delete_staged_rows", {"upload_id": upload_id}),
        )


def _in_one_piece(table: pa.Table) -> pa.RecordBatch:
    columns = [column.combine_chunks() for column in table.cast(LATEST_ROWS_SCHEMA).columns]
    return pa.RecordBatch.from_arrays(columns, schema=LATEST_ROWS_SCHEMA)
