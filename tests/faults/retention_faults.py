"""Faults while rows move: the engine killed, no room for archives, reads of what moves."""

import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import duckdb
import grpc
import trio
from google.protobuf.timestamp_pb2 import Timestamp

from proto.trellis.v1 import history_pb2
from tests.faults.disk import SmallDisk, may_mount, mounted
from tests.faults.old_rows import OldRows
from tests.faults.registry import Facility, Fault, Installed, NothingToHitError, Site, Target

_NEEDS: Final = frozenset({"old_rows"})
_SEARCH_S: Final = 15.0
_LONGEST_WAIT_S: Final = 0.15
"""About what a step takes from its blob's first byte to its end."""
_READ_S: Final = 60.0
_PAUSE_S: Final = 0.1
_SPAN_S: Final = 30 * 86_400.0
_PASSING: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


@attrs.frozen
class BlobDisk:
    """A small disk for the blobs alone."""

    name: str = "small_blob_disk"
    size_bytes: int = 64 << 20

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        with mounted(site.folder / "data" / "blobs", self.size_bytes) as disk:
            yield Installed(disk)


@attrs.frozen
class FullBlobDisk:
    """No space is left for blobs for a while: nothing moves, and nothing else is disturbed."""

    name: str = "blob_disk_full"
    needs: frozenset[str] = frozenset({"small_blob_disk"})
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Fill the disk, wait a while and free it."""
        disk: SmallDisk = target.facilities["small_blob_disk"]
        try:
            taken = disk.fill()
            await trio.sleep(rng.uniform(0.5, 4.0))
        finally:
            disk.free()
        return f"last {taken:,} bytes taken"


@attrs.frozen
class KillAmidMove:
    """The engine is killed amid a step, and each row is looked for before the next one starts."""

    name: str
    folder: str
    """Of the blobs, in which something changes at that moment."""
    needs: frozenset[str] = _NEEDS
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Wait for a step, then for a random moment, and kill the engine."""
        wait_s = rng.uniform(0, _LONGEST_WAIT_S)
        old: OldRows = target.facilities["old_rows"]
        async with target.engine_lock:
            folder = target.data_dir / "blobs" / self.folder
            if not await trio.to_thread.run_sync(_wait_until_changed, folder):
                raise NothingToHitError("nothing moves any more")
            await trio.sleep(wait_s)
            killed = target.engine.pid
            target.note_engine_end({"engine_lost", "died"})
            await trio.to_thread.run_sync(target.engine.kill)
            found = await trio.to_thread.run_sync(old.find_misplaced, target.data_dir)
            target.violations += found
            await trio.to_thread.run_sync(target.engine.start)
            target.note_engine_start()
        return f"SIGKILL to the engine {killed}, {wait_s:.3f} s after {self.folder} had changed"


def _wait_until_changed(folder: Path) -> bool:
    give_up_at_s = time.monotonic() + _SEARCH_S
    before = folder.stat().st_mtime_ns
    while folder.stat().st_mtime_ns == before:
        if time.monotonic() > give_up_at_s:
            return False
        time.sleep(0.001)
    return True


@attrs.frozen
class ReadBesideMoves:
    """A client reads rows that are being moved; it must be given each once."""

    name: str = "read_history"
    needs: frozenset[str] = _NEEDS
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Read a month of events, or of predictions."""
        old: OldRows = target.facilities["old_rows"]
        table = rng.choice(("events", "predictions"))
        oldest_s, newest_s = await trio.to_thread.run_sync(_read_span, old, table)
        from_s = float(int(rng.uniform(oldest_s, newest_s)))
        span = (from_s, from_s + _SPAN_S)
        wanted = await trio.to_thread.run_sync(_read_expected, old, table, *span)
        address = target.address("service_a")
        with trio.fail_after(2 * _READ_S):
            got, calls = await trio.to_thread.run_sync(partial(_insist, address, table, *span))
        for what, rows in (("not given", wanted - got), ("too many", got - wanted)):
            if rows:
                target.violations.append(
                    f"history of {table} from {span}: {rows.total()} rows {what}, "
                    f"such as {next(iter(rows))}"
                )
        return f"{got.total()} {table} read, in {calls} calls"


Rows = Counter[tuple[Any, ...]]
_EVENT_COLUMNS: Final = 'user_id, action, epoch_us(event_time), topic, partition, "offset"'
_PREDICTION_COLUMNS: Final = "entity_key, model, epoch_us(predicted_at), prediction_id, version"
_TABLES: Final = {
    "events": (_EVENT_COLUMNS, "event_time", history_pb2.HISTORY_TABLE_EVENTS),
    "predictions": (_PREDICTION_COLUMNS, "predicted_at", history_pb2.HISTORY_TABLE_PREDICTIONS),
}


def _read_span(old: OldRows, table: str) -> tuple[float, float]:
    column = _TABLES[table][1]
    with duckdb.connect() as connection:
        [span] = connection.execute(
            f"SELECT epoch(min({column})), epoch(max({column})) "
            f"FROM read_parquet('{old.rows_of(table)}')"
        ).fetchall()
    return span


def _read_expected(old: OldRows, table: str, from_s: float, until_s: float) -> Rows:
    columns, time_column, _ = _TABLES[table]
    with duckdb.connect() as connection:
        return Counter(
            connection.execute(
                f"SELECT {columns}, commit_seq FROM read_parquet('{old.rows_of(table)}') "
                f"WHERE {time_column} >= make_timestamp(?) AND {time_column} < make_timestamp(?)",
                [round(from_s * 1e6), round(until_s * 1e6)],
            ).fetchall()
        )


def _insist(address: str, table: str, from_s: float, until_s: float) -> tuple[Rows, int]:
    """Ask until an answer is whole; return it, and how often that was."""
    give_up_at_s = time.monotonic() + _READ_S
    calls = 0
    while True:
        calls += 1
        try:
            with grpc.insecure_channel(address) as channel:
                return _read(channel, table, from_s, until_s), calls
        except grpc.RpcError as error:
            if error.code() not in _PASSING or time.monotonic() > give_up_at_s:
                raise
        time.sleep(_PAUSE_S)


def _read(channel: grpc.Channel, table: str, from_s: float, until_s: float) -> Rows:
    call = channel.unary_stream(
        "/trellis.v1.HistoryService/ReadHistory",
        request_serializer=history_pb2.ReadHistoryRequest.SerializeToString,
        response_deserializer=history_pb2.ReadHistoryResponse.FromString,
    )
    request = history_pb2.ReadHistoryRequest(
        table=_TABLES[table][2], from_time=_stamp(from_s), until_time=_stamp(until_s)
    )
    rows: Rows = Counter()
    for reply in call(request, timeout=_READ_S / 2):
        rows.update(
            (row.user_id, row.action, _us(row.event_time), *_place_of(row)) for row in reply.events
        )
        rows.update(
            (row.entity_key, row.model, _us(row.predicted_at), *_name_of(row))
            for row in reply.predictions
        )
    return rows


def _place_of(row: history_pb2.StoredEvent) -> tuple[str, int, int, int]:
    return row.topic, row.partition, row.offset, row.commit_seq


def _name_of(row: history_pb2.StoredPrediction) -> tuple[str, int, int]:
    return row.prediction_id, row.version, row.commit_seq


def _stamp(at_s: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromtimestamp(at_s, UTC))
    return stamp


def _us(stamp: Timestamp) -> int:
    return stamp.ToMicroseconds()


FACILITIES: tuple[Facility, ...] = (BlobDisk(),) if may_mount() else ()
FAULTS: tuple[Fault, ...] = (
    KillAmidMove("kill_engine_storing_archive", "incoming"),
    KillAmidMove("kill_engine_with_archive_stored", "objects"),
    ReadBesideMoves(),
    *((FullBlobDisk(),) if may_mount() else ()),
)
