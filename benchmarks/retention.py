"""How long commits take while old events are moved out: `python -m benchmarks.retention`.

A backlog as at the first start with `retention.events_days`: nine tenths of the events are older
than that. What the features of `configs/features.yaml` rest on stays.
"""

import argparse
import tempfile
import time
from pathlib import Path

import duckdb
import trio

from benchmarks.backup import ingest, show
from benchmarks.measure import describe_machine
from engine.backends.blobs.store import BlobStore
from engine.clock import read_clock_us
from engine.config import load_config
from engine.features import compile_feature_set
from engine.features.resting import describe_rules, write_movable_events
from engine.retention import Archiver, Retention, events
from engine.store import StoreSettings, open_store
from engine.store.migrate import apply_migrations, load_migrations
from tests.support.trained_version import open_folder

CONFIGS = Path(__file__).parents[1] / "configs"
DAYS = 30
_SPAN_DAYS = 300
_BASELINE_S = 20.0

FILL = """
INSERT INTO events
SELECT
    CAST(hash(i) % $users AS BIGINT),
    ['view', 'view', 'view', 'view', 'view', 'view', 'click', 'click', 'cart', 'purchase'][
        1 + CAST(hash(i + 1) % 10 AS INTEGER)
    ] AS action,
    CAST(now() AS TIMESTAMP) - to_microseconds(($events - i) * ($span_us // $events)),
    CAST(now() AS TIMESTAMP) - to_microseconds(($events - i) * ($span_us // $events)),
    CASE action WHEN 'purchase' THEN round(random() * 100, 2) END,
    NULL, 'trellis.events', CAST(i % 4 AS INTEGER), i // 4, 1 + i // 10000
FROM range($events) AS t(i)
"""


def fill(path: Path, count: int, users: int) -> None:
    """Write a data file with events spread evenly over the span."""
    with duckdb.connect(str(path)) as connection:
        apply_migrations(connection, load_migrations())
        span_us = _SPAN_DAYS * 86_400_000_000
        connection.execute(FILL, {"events": count, "users": users, "span_us": span_us})


async def measure(data: Path, blobs: BlobStore) -> None:
    """Commit at 10,000 events/s, alone and while everything that is due is moved."""
    feature_set = compile_feature_set(load_config(CONFIGS, data.parent, [], {}).features)
    rules = describe_rules(feature_set.events)
    table = events(DAYS, write_movable_events(feature_set.events), rules)
    taken_s: list[float] = []
    async with open_store(StoreSettings(path=data)) as store, trio.open_nursery() as nursery:
        archiver = Archiver(store.reader, store.writer, blobs, read_clock_us)
        retention = Retention([table], archiver, read_clock_us)
        nursery.start_soon(ingest, store.writer, taken_s)
        await trio.sleep(_BASELINE_S)
        show("before", taken_s)
        started_s = time.perf_counter()
        moved = await retention.move_due(table)
        took_s = time.perf_counter() - started_s
        show("while events are moved", taken_s)
        print(f"{moved:,} events moved in {took_s:.0f} s")
        nursery.cancel_scope.cancel()


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "trellis.duckdb"
        fill(data, options.events, options.users)
        trio.run(measure, data, open_folder(Path(folder) / "blobs"))


if __name__ == "__main__":
    main()
