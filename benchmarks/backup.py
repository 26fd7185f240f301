"""How long commits take while a large data file is copied: `python -m benchmarks.backup`."""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import trio

from benchmarks.measure import describe_machine, percentile
from engine.records import EVENTS_SCHEMA, Append, WriteRequest
from engine.store import StoreSettings, Writer, open_store
from engine.store.backup_files import make_backup_folder
from engine.store.migrate import apply_migrations, load_migrations
from engine.store.restoring import DATA_FILE, restore_backup
from engine.store.snapshot import Snapshot

FILL = """
INSERT INTO events
SELECT CAST(random() * 1e6 AS BIGINT), 'action', make_timestamp(CAST(random() * 1e15 AS BIGINT)),
    make_timestamp(CAST(random() * 1e15 AS BIGINT)), random(),
    json_object('page', md5(CAST(random() AS VARCHAR)) || md5(CAST(random() AS VARCHAR))),
    'trellis.events', 0, i, 1
FROM range(1000000) AS t(i)
"""
"""A million events that do not compress well."""
ROWS = 500
"""Of a commit, one every 50 ms: ten thousand events a second."""
PAUSE_S = 0.05
IDLE_S = 10.0
"""How long commits are measured without a backup, before it and after it."""


def fill(path: Path, size_bytes: int) -> None:
    """Write a data file of at least that size."""
    with duckdb.connect(str(path), config={"memory_limit": "1GiB"}) as connection:
        apply_migrations(connection, load_migrations())
        while path.stat().st_size < size_bytes:
            connection.execute(FILL)
            connection.execute("CHECKPOINT")


def events(number: int) -> WriteRequest:
    now = datetime.now(UTC).replace(tzinfo=None)
    columns = {
        "user_id": range(ROWS),
        "action": ["click"] * ROWS,
        "event_time": [now] * ROWS,
        "ingest_time": [now] * ROWS,
        "value": [1.5] * ROWS,
        "properties": ['{"page":"home"}'] * ROWS,
        "topic": ["backup"] * ROWS,
        "partition": [0] * ROWS,
        "offset": range(number * ROWS, (number + 1) * ROWS),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in EVENTS_SCHEMA]
    return WriteRequest((Append("events", pa.record_batch(arrays, schema=EVENTS_SCHEMA)),))


async def ingest(writer: Writer, taken_s: list[float]) -> None:
    number = 0
    while True:
        request = events(number)
        started_s = time.perf_counter()
        await writer.submit(request)
        taken_s.append(time.perf_counter() - started_s)
        number += 1
        await trio.sleep(PAUSE_S)


def copy(snapshot: Snapshot, target: Path, writer: Writer) -> None:
    """Copy a snapshot as `python main.py backup` does. In a thread."""
    hold = writer.checkpoint_hold

    def keep(_done_bytes: int) -> None:
        trio.from_thread.run_sync(hold.keep, snapshot.backup_id)

    wal = snapshot.path.with_name(snapshot.path.name + ".wal")
    sizes = {snapshot.path: snapshot.data_bytes, wal: snapshot.wal_bytes}
    with make_backup_folder(target) as draft:
        files = [draft.copy(path, path.name, size, keep) for path, size in sizes.items() if size]
        rows = dict(snapshot.row_counts)
        draft.finish(datetime.now(UTC), snapshot.commit_seq, tuple(files), rows)


def show(when: str, taken_s: list[float]) -> None:
    half, most = (1_000 * percentile(taken_s, share) for share in (0.5, 0.99))
    print(
        f"commits {when}: median {half:.1f} ms, 99 in 100 below {most:.1f} ms, "
        f"the slowest {1_000 * max(taken_s):.1f} ms (n={len(taken_s)})"
    )
    taken_s.clear()


async def measure(folder: Path) -> None:
    taken_s: list[float] = []
    settings = StoreSettings(path=folder / DATA_FILE, memory_limit_bytes=1024**3)
    async with open_store(settings) as store, trio.open_nursery() as nursery:
        nursery.start_soon(ingest, store.writer, taken_s)
        await trio.sleep(IDLE_S)
        show("before", taken_s)
        started_s = time.perf_counter()
        snapshot = await store.writer.begin_snapshot()
        await trio.to_thread.run_sync(copy, snapshot, folder / "backup", store.writer)
        store.writer.checkpoint_hold.end(snapshot.backup_id)
        took_s = time.perf_counter() - started_s
        show("during the backup", taken_s)
        await trio.sleep(IDLE_S)
        show("after", taken_s)
        nursery.cancel_scope.cancel()
    size_bytes = snapshot.data_bytes + snapshot.wal_bytes
    print(f"backup of {size_bytes / 2**30:.2f} GiB: {took_s:.1f} s")
    started_s = time.perf_counter()
    restored = restore_backup(folder / "backup", folder / "restored", lambda _: None)
    print(f"restored, {restored.rows:,} rows: {time.perf_counter() - started_s:.1f} s")


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=2.0)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder) / DATA_FILE, int(options.gib * 2**30))
        trio.run(measure, Path(folder))


if __name__ == "__main__":
    main()
