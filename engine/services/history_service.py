"""`trellis.v1.HistoryService`: rows of any age, and the archives that hold the old ones."""

from collections.abc import AsyncGenerator
from typing import Final

import trio

from engine.errors import InvalidArgumentError
from engine.history import EVENTS, PREDICTIONS, ArchiveList, HistoryQuery, HistoryReads
from engine.history.selection import FIRST_TIME_US, LAST_TIME_US
from engine.history.sorted_rows import split_rows
from engine.services.arguments import read_page_size, read_page_token, read_time_us
from engine.services.history_rows import encode_archive, encode_rows
from proto.trellis.v1 import history_pb2 as pb
from proto.trellis.v1.history_grpc import HistoryServiceServicer

# ruff: noqa: N802 - the methods are named by the API

_PAGE_DEFAULT: Final = 100
_PAGE_MAX: Final = 500
_BEFORE: Final = "before:"
_TABLE: Final = {
    pb.HISTORY_TABLE_EVENTS: EVENTS,
    pb.HISTORY_TABLE_PREDICTIONS: PREDICTIONS,
}
_MESSAGE_ROWS: Final = 250
"""Encoded in about a millisecond, in which the loop does nothing else."""
_MESSAGE_BYTES: Final = 512 * 1024


class HistoryService(HistoryServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks, encodes."""

    def __init__(self, archives: ArchiveList, reads: HistoryReads) -> None:
        self._archives = archives
        self._reads = reads

    async def ListArchives(self, input_message: pb.ListArchivesRequest) -> pb.ListArchivesResponse:
        """Answer with a page of archives. See `history.proto`."""
        request = input_message
        size = read_page_size(request.page_size, default=_PAGE_DEFAULT, largest=_PAGE_MAX)
        page = await self._archives.list(
            request.table or None, before=_read_place(request.page_token), limit=size
        )
        last = page[-1] if len(page) == size else None
        return pb.ListArchivesResponse(
            archives=[encode_archive(archive) for archive in page],
            next_page_token=f"{_BEFORE}{last.planned_us}:{last.archive_id}" if last else "",
        )

    async def ReadHistory(
        self, input_message: pb.ReadHistoryRequest
    ) -> AsyncGenerator[pb.ReadHistoryResponse, None]:
        """Send rows, in order. See `history.proto`."""
        query = _read_query(input_message)
        async with self._reads.open(query) as read:

            def complete(response: pb.ReadHistoryResponse) -> pb.ReadHistoryResponse:
                response.commit_seq = read.commit_seq
                response.rows_scanned = read.rows_scanned
                response.rows_to_scan = read.rows_to_scan
                return response

            yield complete(pb.ReadHistoryResponse())
            while (rows := await read.next_rows()) is not None:
                for part in split_rows(rows, most_rows=_MESSAGE_ROWS, most_bytes=_MESSAGE_BYTES):
                    yield complete(encode_rows(query.table, part))
                    # Sending waits only for a slow reader; others have their turn in any case.
                    await trio.lowlevel.checkpoint()


def _read_query(request: pb.ReadHistoryRequest) -> HistoryQuery:
    if request.table not in _TABLE:
        raise InvalidArgumentError("table", f"{request.table} is not a table with a history")
    if request.limit < 0:
        raise InvalidArgumentError("limit", f"{request.limit} is not a number of rows (0: all)")
    return HistoryQuery(
        _TABLE[request.table],
        request.entity_key if request.HasField("entity_key") else None,
        _read_bound(request, "from_time", FIRST_TIME_US),
        _read_bound(request, "until_time", LAST_TIME_US),
        request.limit or None,
    )


def _read_bound(request: pb.ReadHistoryRequest, field: str, unset_us: int) -> int:
    return read_time_us(field, getattr(request, field)) if request.HasField(field) else unset_us


def _read_place(token: str) -> tuple[int, str] | None:
    place = read_page_token(token, _BEFORE)
    if not place:
        return None
    planned_us, _, archive_id = place.partition(":")
    # Beyond 18 digits no time of ours was ever given out, and DuckDB's integers end.
    if not (planned_us.isascii() and planned_us.isdigit() and len(planned_us) <= 18 and archive_id):
        raise InvalidArgumentError("page_token", "is not one that a reply gave")
    return int(planned_us), archive_id
