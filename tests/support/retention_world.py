"""A data file with old rows, a folder of blobs, and what of each row there is in both."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from engine.backends.blobs import BlobStore
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.clock import to_datetime
from engine.records import EVENTS_SCHEMA, Append, Upsert, WriteRequest
from engine.retention import Archiver, MovableTable, Retention, events
from engine.retention.retention import Pace
from engine.store import Store, StoreSettings, open_store

DAY_US = 86_400_000_000
NOW_US = 1_750_000_000_000_000 // DAY_US * DAY_US + DAY_US // 2
"""A noon."""

ALL_MOVABLE = (
    "SELECT * FROM events "
    "WHERE event_time < make_timestamp($until_us) AND commit_seq <= $last_commit_seq"
)

_PREDICTION = {
    "model": "churn",
    "version": 1,
    "feature_commit_seq": 1,
    "inputs": "[1.0]",
    "statuses": "P",
    "prediction": "true",
    "score": 0.5,
    "probabilities": None,
    "shadow": False,
    "request_id": None,
}


def make_events(
    times_us: Sequence[int] | npt.NDArray[np.int64],
    *,
    first_offset: int = 0,
    ingest_us: int | None = None,
    users: int = 1_000,
) -> Append:
    """Return events, taken in a second after they happened or, if told, at one time."""
    times = np.asarray(times_us, dtype=np.int64)
    n = len(times)
    taken_in = times + 1_000_000 if ingest_us is None else np.full(n, ingest_us)
    offsets = np.arange(first_offset, first_offset + n)
    columns = {
        "user_id": offsets % users,
        "action": np.array(["click", "view", "purchase"])[offsets % 3],
        "event_time": times,
        "ingest_time": taken_in,
        "value": np.where(offsets % 7 == 0, np.nan, offsets / 8),
        "properties": [f'{{"page":{offset * 7919 % 1000003}}}' for offset in offsets],
        "topic": ["t"] * n,
        "partition": offsets % 4,
        "offset": offsets,
    }
    arrays = [pa.array(columns[field.name], field.type) for field in EVENTS_SCHEMA]
    return Append("events", pa.record_batch(arrays, schema=EVENTS_SCHEMA))


def make_predictions(times_us: Sequence[int], *, first: int = 0) -> Append:
    """Return predictions, each with an id of its own."""
    rows = [
        {
            "prediction_id": f"p{first + place}",
            "predicted_at": to_datetime(time_us),
            "entity_key": place,
            "as_of": to_datetime(time_us),
            **_PREDICTION,
        }
        for place, time_us in enumerate(times_us)
    ]
    schema = pa.schema(
        [
            ("prediction_id", pa.string()),
            ("predicted_at", pa.timestamp("us")),
            ("entity_key", pa.int64()),
            ("as_of", pa.timestamp("us")),
            ("model", pa.string()),
            ("version", pa.int32()),
            ("feature_commit_seq", pa.int64()),
            ("inputs", pa.string()),
            ("statuses", pa.string()),
            ("prediction", pa.string()),
            ("score", pa.float64()),
            ("probabilities", pa.string()),
            ("shadow", pa.bool_()),
            ("request_id", pa.string()),
        ]
    )
    return Append("predictions", pa.RecordBatch.from_pylist(rows, schema))


def make_dead_letters(times_us: Sequence[int], *, published: bool = True) -> Upsert:
    """Return refused messages."""
    columns = (
        "dead_letter_id", "topic", "partition", "offset", "broker_incarnation", "received_at",
        "payload", "reason", "detail", "published_at",
    )  # fmt: skip
    rows = [
        (
            f"d{place}", "t", 0, place, "one", to_datetime(time_us), b"\xff" * place, "not_json",
            "no JSON", to_datetime(time_us) if published else None,
        )
        for place, time_us in enumerate(times_us)
    ]  # fmt: skip
    return Upsert("dead_letters", columns, rows)


def all_events(days: int) -> MovableTable:
    """Return events of which all may be moved, as if every feature had a window."""
    return events(days, ALL_MOVABLE, [])


@attrs.define
class RetentionWorld:
    """An open data file and its blobs."""

    folder: Path
    store: Store
    blobs: BlobStore
    now_us: int = NOW_US

    def archiver(self) -> Archiver:
        return Archiver(self.store.reader, self.store.writer, self.blobs, lambda: self.now_us)

    def retention(self, *tables: MovableTable, pace: Pace | None = None) -> Retention:
        return Retention(tables, self.archiver(), lambda: self.now_us, pace)

    async def write(self, *operations: Append | Upsert) -> int:
        """Return the commit."""
        return (await self.store.writer.submit(WriteRequest(operations))).commit_seq

    async def rows(self, table: str) -> Counter[tuple[Any, ...]]:
        """Return the rows of the data file."""
        return count_rows(await self.store.reader.fetch_arrow(f"SELECT * FROM {table}"))

    async def archives(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of `archives`, in the order they were planned in."""
        found = await self.store.reader.fetch_arrow(
            "SELECT * FROM archives WHERE table_name = $table ORDER BY planned_at, first_time",
            {"table": table},
        )
        rows: list[dict[str, Any]] = found.to_pylist()
        return rows

    async def archived_table(self, archive: dict[str, Any]) -> pa.Table:
        """Return the rows of an archive as its blob has them."""
        content = await self.blobs.get_bytes(archive["blob"], 2**30)
        return pq.read_table(pa.BufferReader(content))

    async def archived(self, table: str) -> Counter[tuple[Any, ...]]:
        """Return the rows of all archives that count."""
        total: Counter[tuple[Any, ...]] = Counter()
        for archive in await self.archives(table):
            if archive["state"] == "stored":
                total += count_rows(await self.archived_table(archive))
        return total

    async def blob_names(self) -> list[str]:
        return [info.name async for info in self.blobs.list_blobs("archive/")]


def count_rows(table: pa.Table) -> Counter[tuple[Any, ...]]:
    """Return how often each row occurs; what is no number is equal to itself."""
    return Counter(tuple(map(_comparable, row.values())) for row in _dicts(table))


def _dicts(table: pa.Table) -> Iterator[dict[str, Any]]:
    yield from table.to_pylist()


def _comparable(value: Any) -> Any:
    return "nan" if isinstance(value, float) and math.isnan(value) else value


@asynccontextmanager
async def open_world(
    folder: Path, *, checkpoint_wal_bytes: int = 64 * 2**20
) -> AsyncIterator[RetentionWorld]:
    """Open the data file and the blobs of a folder."""
    settings = StoreSettings(
        path=folder / "trellis.duckdb", checkpoint_wal_bytes=checkpoint_wal_bytes
    )
    async with open_store(settings) as store:
        driver = FolderDriver(open_blob_files(_made(folder / "blobs")), 10.0)
        yield RetentionWorld(folder, store, BlobStore(driver))


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
