"""Rows that a job sends ahead: beside the data file, and in it only once the job completes."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import trio

from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.records import FEATURE_HISTORY_SCHEMA, Append, RequestWriter, WriteRequest
from engine.store.queries import load_queries
from engine.uploads.lookup import RejectedRow
from engine.uploads.ports import RowReader
from engine.uploads.row_file import RowFile

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


class StagedRows:
    """The rows of all attempts, each in a file of its own. Used from the Trio thread.

    Args:
      folder: where the files lie; on the disk of the data file, which takes the rows later.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[str, str], RowFile] = {}

    @property
    def row_count(self) -> int:
        """How many rows there are that wait for the end of a job."""
        return sum(file.row_count for file in self._files.values())

    def open(self, upload_id: str, token: str, dataset: str) -> RowFile:
        """Return the rows of an attempt, an empty file if it has staged none."""
        self._files = {key: file for key, file in self._files.items() if not file.closed}
        return self._files.setdefault((upload_id, token), RowFile(self._folder, dataset))

    def discard(self, upload_id: str, *, but: str | None = None) -> None:
        """Forget the rows of an upload, of every attempt: a replaced worker may have left some.

        Args:
          but: token of the attempt whose rows are kept.
        """
        for key, file in self._files.items():
            if key[0] == upload_id and key[1] != but:
                file.close()

    def discard_all(self) -> None:
        """Forget the rows of all uploads."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class StagedUpload:
    """What one attempt of a job adds to one upload. Made by `Staging.begin`."""

    def __init__(self, writer: RequestWriter, upload_id: str, token: str, rows: RowFile) -> None:
        self._writer = writer
        self._upload_id = upload_id
        self._token = token
        self._rows = rows

    async def add_rows(self, stream: bytes) -> int:
        """Keep rows for the end of the attempt; if the engine dies before, the job runs again.

        Args:
          stream: an Arrow IPC stream of records.FEATURE_HISTORY_SCHEMA. The dataset is the
            upload's, whatever the rows say.
        Returns: how many rows.
        Raises:
          InvalidArgumentError: it is no such stream.
          FailedPreconditionError: the disk does not take them, which ends the attempt, or it is
            over.
        Cancellation: none once this has begun; the rows are kept.
        """
        return await trio.to_thread.run_sync(self._add_rows, stream)

    def _add_rows(self, stream: bytes) -> int:
        batches = _decode(stream)
        try:
            self._rows.append(batches)
        except OSError as error:
            # An attempt that lacks rows is of no use, and the disk is needed to tell of it.
            self._rows.close()
            raise FailedPreconditionError(
                f"the rows cannot be kept until the job completes: {error.strerror or error}; "
                "free disk space if that is missing"
            ) from error
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


class Staging:
    """Used from the Trio thread."""

    def __init__(self, writer: RequestWriter, reader: RowReader, rows: StagedRows) -> None:
        self._writer = writer
        self._reader = reader
        self._rows = rows

    async def begin(self, upload_id: str, job_id: str, token: str) -> StagedUpload:
        """Return what takes rows of an attempt; that the token is valid is the caller's to know.

        Raises:
          NotFoundError: there is no such upload.
          FailedPreconditionError: it is another job's.
        """
        dataset = await self.fetch_dataset(upload_id, job_id)
        rows = self._rows.open(upload_id, token, dataset)
        return StagedUpload(self._writer, upload_id, token, rows)

    async def fetch_dataset(self, upload_id: str, job_id: str) -> str:
        """Return the dataset of an upload that a job is about. Raises as `begin`."""
        rows = await self._reader.fetch_rows(_QUERIES["fetch_target"], {"upload_id": upload_id})
        if not rows:
            raise NotFoundError("upload", upload_id[:128])
        [(dataset, owner)] = rows
        if owner != job_id:
            raise FailedPreconditionError(f"the upload {upload_id} is not of the job {job_id}")
        return str(dataset)


def _decode(stream: bytes) -> list[pa.RecordBatch]:
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
    return [batch for batch in table.to_batches() if batch.num_rows]
