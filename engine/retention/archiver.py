"""One step of retention: rows are stored as a blob, read again, and deleted, in this order.

    planned   a row of `archives` names the blob, before it exists
    blob      it is stored, and read again
    stored    one transaction deletes the rows and says so in `archives`

Whatever ends the engine in between, each row is in the data file or in an archive that is `stored`,
and never in both. What is planned and not stored is removed before the next step: the blob first,
since without its row nobody would know of it.
"""

import functools
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import attrs
import pyarrow as pa
import trio

from engine.backends.blobs import BlobInfo, BlobStore
from engine.clock import Clock, to_datetime
from engine.errors import DataLossError
from engine.records import Delete, RequestWriter, Statement, Upsert, WriteRequest
from engine.retention.movable import KEYS, MovableTable
from engine.retention.parquet import encode_rows
from engine.store.queries import load_queries
from engine.store.reader import Reader

T = TypeVar("T")

_QUERIES: Final = load_queries("engine.retention")
_TIMEOUT_S: Final = 600.0
"""Of a query. One that takes this long on a busy machine is no use at any pace."""


@attrs.frozen
class Bound:
    """Up to where rows are looked at: before a time, and committed up to a commit."""

    until_us: int
    last_commit_seq: int


@attrs.frozen
class Moved:
    """What a step has moved."""

    rows: int
    size_bytes: int


@attrs.frozen
class _Plan:
    archive_id: str
    blob: str
    first_time: datetime
    last_time: datetime
    row_count: int


class Archiver:
    """Takes the steps. Used by one task at a time, from the Trio thread."""

    def __init__(
        self, reader: Reader, writer: RequestWriter, blobs: BlobStore, clock_us: Clock
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._blobs = blobs
        self._clock_us = clock_us
        # Encoding takes half a second of a processor: one at a time, beside the engine's own work.
        self._limiter = trio.CapacityLimiter(1)

    async def discard_unfinished(self) -> int:
        """Remove what steps that did not come to their end have left; return how many there were.

        Raises:
          BackendUnavailableError: the blob store is away; the rest stays.
          StoreError.
        Cancellation: as with an error.
        """
        unfinished = await self._reader.fetch_rows(_QUERIES["unfinished_archives"])
        for archive_id, blob in unfinished:
            await self._blobs.delete(blob)
            forget = Statement("delete_planned_archive", {"archive_id": archive_id})
            await self._writer.submit(WriteRequest((forget,)))
        return len(unfinished)

    async def find_bound(self, table: MovableTable, until_us: int) -> Bound | None:
        """Return up to where rows of a table may be moved; None if it is empty.

        Raises: StoreError.
        """
        [(last_commit_seq,)] = await self._reader.fetch_rows(
            table.write_last_commit_query(), {"until_us": until_us}, timeout_s=_TIMEOUT_S
        )
        return None if last_commit_seq is None else Bound(until_us, int(last_commit_seq))

    async def fetch_keys(self, table: MovableTable, bound: Bound, most_rows: int) -> pa.Table:
        """Return the keys of the oldest rows that may be moved, with the column `weight_bytes`.

        Raises: StoreError.
        """
        return await self._reader.fetch_arrow(
            table.write_keys_query(),
            {
                "until_us": bound.until_us,
                "last_commit_seq": bound.last_commit_seq,
                "most_rows": most_rows,
            },
            timeout_s=_TIMEOUT_S,
        )

    async def fetch_oldest_us(self, table: MovableTable) -> int | None:
        """Return the time of the oldest row, in microseconds since 1970. Raises StoreError."""
        [(oldest_us,)] = await self._reader.fetch_rows(table.write_oldest_query())
        return None if oldest_us is None else int(oldest_us)

    async def fetch_last_stored(self) -> Mapping[str, int]:
        """Return when each table's newest archive was stored, in microseconds since 1970.

        Raises: StoreError.
        """
        return dict(await self._reader.fetch_rows(_QUERIES["last_stored"]))

    async def move(self, table: MovableTable, bound: Bound, keys: pa.Table) -> Moved:
        """Move the rows of some keys; those that are gone or were changed are left out.

        Raises:
          BackendUnavailableError, ResourceExhaustedError: the blob store is away or full; every row
            is where it was.
          DataLossError: what was stored is not what is read again; every row is where it was.
          StoreError: as well.
        Cancellation: a checkpoint between any two parts of the step; as with an error, or the step
          is complete.
        """
        rows = await self._reader.fetch_arrow(
            table.write_rows_query(), timeout_s=_TIMEOUT_S, tables={KEYS: keys}
        )
        if not rows.num_rows:
            return Moved(0, 0)
        archive_id = secrets.token_hex(16)
        until = to_datetime(bound.until_us)
        plan = _Plan(
            archive_id=archive_id,
            blob=f"archive/{table.name}/{until:%Y-%m-%d}-{archive_id}.parquet",
            first_time=rows[table.time_column][0].as_py(),
            last_time=rows[table.time_column][-1].as_py(),
            row_count=rows.num_rows,
        )
        await self._submit_plan(table, bound, plan)
        facts = await self._describe(table, bound, plan)
        content = await self._run(functools.partial(encode_rows, rows, facts))
        delete = await self._run(functools.partial(_make_delete, table, rows))
        del rows
        info = await self._store(plan.blob, content)
        done = _upsert_archive(
            {
                "archive_id": archive_id,
                "state": "stored",
                "stored_at": to_datetime(self._clock_us()),
                "size_bytes": info.size_bytes,
                "sha256": info.sha256,
            }
        )
        # Once queued it may be written whoever has gone: who then found the archive planned would
        # delete the blob of rows that are about to be deleted. Bounded, since the writer answers
        # every request.
        with trio.CancelScope(shield=True):
            await self._writer.submit(WriteRequest((done, delete)))
        return Moved(plan.row_count, info.size_bytes)

    async def _submit_plan(self, table: MovableTable, bound: Bound, plan: _Plan) -> None:
        planned = {
            "archive_id": plan.archive_id,
            "table_name": table.name,
            "state": "planned",
            "planned_at": to_datetime(self._clock_us()),
            "first_time": plan.first_time,
            "last_time": plan.last_time,
            "until_time": to_datetime(bound.until_us),
            "last_commit_seq": bound.last_commit_seq,
            "row_count": plan.row_count,
            "blob": plan.blob,
            "kept": table.kept_json,
        }
        await self._writer.submit(WriteRequest((_upsert_archive(planned),)))

    async def _describe(self, table: MovableTable, bound: Bound, plan: _Plan) -> dict[str, str]:
        [(schema_version,)] = await self._reader.fetch_rows(_QUERIES["schema_version"])
        return {
            "archive_id": plan.archive_id,
            "table": table.name,
            "schema_version": str(schema_version),
            "rows": str(plan.row_count),
            "first_time": plan.first_time.isoformat(),
            "last_time": plan.last_time.isoformat(),
            "until_time": to_datetime(bound.until_us).isoformat(),
            "last_commit_seq": str(bound.last_commit_seq),
            "kept": table.kept_json,
        }

    async def _store(self, blob: str, content: bytes) -> BlobInfo:
        info = await self._blobs.put(blob, content)
        if await self._blobs.get_bytes(blob, len(content)) != content:
            raise DataLossError(f"the blob {blob!r} is not what was stored; nothing is deleted")
        return info

    async def _run(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._limiter)


def _upsert_archive(row: Mapping[str, Any]) -> Upsert:
    return Upsert("archives", tuple(row), [tuple(row.values())])


def _make_delete(table: MovableTable, rows: pa.Table) -> Delete:
    [keys] = rows.select(list(table.key)).combine_chunks().to_batches()
    return Delete(table.name, keys, rows.num_rows)
