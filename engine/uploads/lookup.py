"""Reads uploads: what became of them, and what they hold."""

from collections.abc import AsyncGenerator

import attrs
import trio

from engine.errors import NotFoundError
from engine.store.queries import load_queries
from engine.uploads.blocks import PARTS_A_BLOCK, decode_block
from engine.uploads.ports import RowReader

MOST_REJECTS_SHOWN = 100
_CHUNK_BYTES = 1 << 20

_QUERIES = load_queries("engine.uploads")


@attrs.frozen
class RejectedRow:
    """A row that was not taken."""

    row: int
    """Its number in the file, from 1."""
    column: str
    reason: str
    detail: str
    excerpt: str


@attrs.frozen
class UploadView:
    """An upload and what became of it."""

    upload_id: str
    dataset: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    received_at_us: int
    status: str
    job_id: str
    rows_accepted: int
    rows_rejected: int
    error_code: str
    error: str
    finished_at_us: int | None
    rejects: tuple[RejectedRow, ...] = ()


class UploadLookup:
    """Used from the Trio thread."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader

    async def get(self, upload_id: str) -> UploadView:
        """Return an upload with the first of its rejected rows.

        Raises:
          NotFoundError: there is no such upload.
        """
        of_upload = {"upload_id": upload_id}
        rows = await self._reader.fetch_rows(_QUERIES["fetch_upload"], of_upload)
        if not rows:
            raise NotFoundError("upload", upload_id[:128])
        view = UploadView(*rows[0])
        rejects = await self._reader.fetch_rows(
            _QUERIES["fetch_rejects"], {**of_upload, "limit": MOST_REJECTS_SHOWN}
        )
        rejected = view.rows_rejected
        if rejects and not rejected:
            # No result has told the number: the job runs, or it failed after it had reported rows.
            [(rejected,)] = await self._reader.fetch_rows(_QUERIES["count_rejects"], of_upload)
        return attrs.evolve(
            view,
            rows_rejected=rejected,
            rejects=tuple(RejectedRow(*reject) for reject in rejects),
        )

    async def read_content(self, upload_id: str) -> AsyncGenerator[bytes, None]:
        """Yield a file's bytes in order, at most 1 MiB at a time.

        Raises:
          NotFoundError: there is no such upload.
        """
        of_upload = {"upload_id": upload_id}
        rows = await self._reader.fetch_rows(_QUERIES["fetch_content"], of_upload)
        if not rows:
            raise NotFoundError("upload", upload_id[:128])
        [(content,)] = rows
        if content is not None:
            yield content
            return
        begin = 0
        while rows := await self._reader.fetch_rows(
            _QUERIES["fetch_parts"],
            {**of_upload, "begin": begin, "end": begin + PARTS_A_BLOCK},
        ):
            parts, [raw_bytes, *_] = zip(*rows, strict=True)
            block = await trio.to_thread.run_sync(decode_block, parts, raw_bytes)
            for first in range(0, len(block), _CHUNK_BYTES):
                yield block[first : first + _CHUNK_BYTES]
            begin += PARTS_A_BLOCK
