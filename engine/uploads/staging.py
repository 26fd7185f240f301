"""Rows that a job sends ahead: in the data file at once, counting only once the job completes."""

from collections.abc import Sequence

import pyarrow as pa
import trio

from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.records import FEATURE_HISTORY_SCHEMA, Append, WriteRequest
from engine.store.queries import load_queries
from engine.uploads.lookup import RejectedRow
from engine.uploads.ports import RequestWriter, RowReader

_QUERIES = load_queries("engine.uploads")
_MOST_ROWS = 1_000_000
_MOST_BYTES = 64 << 20
"""A message has a few megabytes; more than this of rows were compressed, which nobody asked for."""
_REJECTS_SCHEMA = pa.schema(
    [
        pa.field("upload_id", pa.string(), nullable=False),
        pa.field("job_token", pa.string(), nullable=False),
        pa.field("row_number", pa.int64(), nullable=False),
        pa.field("column_name", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("excerpt", pa.string(), nullable=False),
    ]
)


class StagedUpload:
    """What one attempt of a job adds to one upload. Made by `Staging.begin`."""

    def __init__(self, writer: RequestWriter, upload_id: str, token: str, dataset: str) -> None:
        self._writer = writer
        self._upload_id = upload_id
        self._token = token
        self._dataset = dataset

    async def add_rows(self, stream: bytes) -> int:
        """Write rows; they are on disk when this returns.

        Args:
          stream: an Arrow IPC stream of records.FEATURE_HISTORY_SCHEMA. The dataset is the
            upload's, whatever the rows say.
        Returns: how many rows.
        Raises:
          InvalidArgumentError: it is no such stream.
          StoreError: the rows cannot be written.
        """
        batches = await trio.to_thread.run_sync(self._decode, stream)
        if batches:
            await self._writer.submit(
                WriteRequest(tuple(Append("upload_rows", batch) for batch in batches))
            )
        return sum(batch.num_rows for batch in batches)

    async def add_rejects(self, rejects: Sequence[RejectedRow]) -> None:
        """Write rows that were not taken; they are on disk when this returns."""
        if not rejects:
            return
        rows = [
            {
                "upload_id": self._upload_id,
                "job_token": self._token,
                "row_number": reject.row,
                "column_name": reject.column,
                "reason": reject.reason,
                "detail": reject.detail,
                "excerpt": reject.excerpt,
            }
            for reject in rejects
        ]
        data = pa.RecordBatch.from_pylist(rows, schema=_REJECTS_SCHEMA)
        await self._writer.submit(WriteRequest((Append("upload_rejects", data),)))

    def _decode(self, stream: bytes) -> list[pa.RecordBatch]:
        try:
            table = pa.ipc.open_stream(stream).read_all()
            table.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise InvalidArgumentError("rows", f"are no Arrow IPC stream: {error}") from error
        found = [(field.name, field.type) for field in table.schema]
        if found != [(field.name, field.type) for field in FEATURE_HISTORY_SCHEMA]:
            raise InvalidArgumentError(
                "rows", f"have the columns {found}; expected {FEATURE_HISTORY_SCHEMA.names}"
            )
        if table.num_rows > _MOST_ROWS or table.nbytes > _MOST_BYTES:
            raise InvalidArgumentError("rows", "are too many for one message")
        for name in ("entity_key", "event_time"):
            if table[name].null_count:
                raise InvalidArgumentError("rows", f"lack a value of {name}")
        return [self._stamp(batch) for batch in table.to_batches() if batch.num_rows]

    def _stamp(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        def same(text: str) -> pa.Array:
            return pa.repeat(text, batch.num_rows)

        return pa.RecordBatch.from_arrays(
            [
                same(self._upload_id),
                same(self._token),
                batch.column("entity_key"),
                same(self._dataset),
                batch.column("fields"),
                batch.column("event_time"),
            ],
            names=["upload_id", "job_token", "entity_key", "dataset", "fields", "event_time"],
        )


class Staging:
    """Used from the Trio thread."""

    def __init__(self, writer: RequestWriter, reader: RowReader) -> None:
        self._writer = writer
        self._reader = reader

    async def begin(self, upload_id: str, job_id: str, token: str) -> StagedUpload:
        """Return what takes rows of an attempt; that the token is valid is the caller's to know.

        Raises:
          NotFoundError: there is no such upload.
          FailedPreconditionError: it is another job's.
        """
        dataset = await self.fetch_dataset(upload_id, job_id)
        return StagedUpload(self._writer, upload_id, token, dataset)

    async def fetch_dataset(self, upload_id: str, job_id: str) -> str:
        """Return the dataset of an upload that a job is about. Raises as `begin`."""
        rows = await self._reader.fetch_rows(_QUERIES["fetch_target"], {"upload_id": upload_id})
        if not rows:
            raise NotFoundError("upload", upload_id[:128])
        [(dataset, owner)] = rows
        if owner != job_id:
            raise FailedPreconditionError(f"the upload {upload_id} is not of the job {job_id}")
        return str(dataset)
