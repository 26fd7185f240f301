"""Archives as the data file lists them: what retention has moved, and where it is."""

import enum
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs

from engine.clock import to_datetime, to_us
from engine.store import Reader
from engine.store.queries import load_queries

QUERIES = load_queries("engine.history")


class ArchiveState(enum.StrEnum):
    """How far an archive is."""

    PLANNED = "planned"
    STORED = "stored"


@attrs.frozen
class Archive:
    """The rows that one step of retention moved; times in microseconds since 1970, UTC.

    What is None is not known before it is stored. `kept_json` lists the features without a window
    for which events were left in the data file.
    """

    archive_id: str
    table_name: str
    state: ArchiveState
    planned_us: int
    stored_us: int | None
    first_us: int | None
    last_us: int | None
    until_us: int
    last_commit_seq: int
    row_count: int | None
    blob: str
    size_bytes: int | None
    sha256: str | None
    kept_json: str

    def __str__(self) -> str:
        return f"the archive {self.blob} of {self.table_name}"


class ArchiveList:
    """The archives there are."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def list(
        self, table_name: str | None, *, before: tuple[int, str] | None, limit: int
    ) -> list[Archive]:
        """Return archives, those that were planned last first.

        Args:
          table_name: only those of this table; None: all.
          before: from after the archive planned then, in microseconds, with that identity.
          limit: at most so many.
        Raises: StoreError.
        """
        rows = await self._reader.fetch_rows(
            QUERIES["archive_page"],
            {
                "table_name": table_name,
                "before_at": None if before is None else to_datetime(before[0]),
                "before_id": None if before is None else before[1],
                "limit": limit,
            },
        )
        return read_archives(rows)


def read_archives(rows: Iterable[Sequence[Any]]) -> list[Archive]:
    """Return archives from rows of the queries that find them."""
    return [_read_archive(*row) for row in rows]


def _read_archive(
    archive_id: str,
    table_name: str,
    state: str,
    planned_at: datetime,
    stored_at: datetime | None,
    first_time: datetime | None,
    last_time: datetime | None,
    until_time: datetime,
    *rest: Any,
) -> Archive:
    return Archive(
        archive_id,
        table_name,
        ArchiveState(state),
        to_us(planned_at),
        _to_us(stored_at),
        _to_us(first_time),
        _to_us(last_time),
        to_us(until_time),
        *rest,
    )


def _to_us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)
