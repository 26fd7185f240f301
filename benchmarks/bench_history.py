"""Point-in-time training sets: `python -m benchmarks.bench_history [--feast-python PATH]`.

Two measurements, each in a process of its own so that its peak memory is its own:
windows, ten window features of 200,000 labels over 5 million events of 200,000 users;
latest, ten uploaded columns of 100,000 labels over 1 million rows, which is the join Feast does.
With the interpreter of an environment that has `feast[duckdb]`, Feast does the second one on the
same rows in the same run.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import trio

from benchmarks.measure import describe_machine, describe_spread
from engine.config import EntitySpec, FeaturesFile, FeatureSpec, OnlineConfig, UploadSpec
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.store import StoreSettings, open_store
from engine.store.migrate import apply_migrations, load_migrations

MEMORY_LIMIT_BYTES = 1024**3
COLUMNS = tuple(f"f{number}" for number in range(10))

FILL_EVENTS = """
INSERT INTO events
SELECT
    CAST(200000 * pow(random(), 1.5) AS BIGINT),
    ['view', 'view', 'view', 'click', 'cart', 'purchase'][1 + CAST(hash(i) % 6 AS INTEGER)]
        AS action,
    make_timestamp(1700000000000000 + i * 400000 + CAST(1e6 * random() AS BIGINT)),
    TIMESTAMP '2024-01-01',
    CASE action WHEN 'purchase' THEN round(100 * random(), 2) END,
    NULL, 'trellis.events', CAST(i % 4 AS INTEGER), i // 4, 1 + i // 10000
FROM range($events) AS t(i)
"""

EVENT_LABELS = """
SELECT
    CAST(200000 * pow(random(), 1.5) AS BIGINT) AS entity_key,
    make_timestamp(1700000000000000 + CAST($events * 400000.0 * random() AS BIGINT)) AS event_time
FROM range($labels)
"""

UPLOADED_ROWS = """
SELECT
    i % 50000 AS entity_key,
    make_timestamp(1700000000000000 + i * 60000000) AS event_time,
    {columns}
FROM range($rows) AS t(i)
"""

FILL_UPLOADS = """
INSERT INTO feature_history
SELECT
    entity_key,
    'stats',
    CAST(to_json(struct_pack({columns})) AS VARCHAR),
    event_time,
    row_number() OVER () - 1,
    1 + row_number() OVER () // 100000
FROM uploaded
"""

UPLOAD_LABELS = """
SELECT
    CAST(50000 * random() AS BIGINT) AS entity_key,
    make_timestamp(1700000000000000 + CAST($rows * 60000000.0 * random() AS BIGINT)) AS event_time
FROM range($labels)
"""


def window_features() -> dict[str, FeatureSpec]:
    """Return ten features of every kind and of windows from five minutes to thirty days."""
    purchase = {"action": "purchase"}
    specs = (
        ("views_5m", "count", {"action": "view"}, None, 300),
        ("clicks_5m", "count", {"action": "click"}, None, 300),
        ("carts_1h", "count", {"action": "cart"}, None, 3_600),
        ("distinct_actions_24h", "distinct_count", {}, "action", 86_400),
        ("purchases_24h", "count", purchase, None, 86_400),
        ("spend_24h", "sum", purchase, "value", 86_400),
        ("mean_purchase_30d", "mean", purchase, "value", 30 * 86_400),
        ("max_purchase_30d", "max", purchase, "value", 30 * 86_400),
        ("last_action_24h", "last", {}, "action", 86_400),
        ("first_purchase_7d", "first", purchase, "value", 7 * 86_400),
    )
    return {
        name: FeatureSpec(
            name, source="events", where=where, aggregate=kind, column=column, window_s=window_s
        )
        for name, kind, where, column, window_s in specs
    }


def uploaded_features() -> dict[str, FeatureSpec]:
    """Return a feature for each uploaded column."""
    return {
        name: FeatureSpec(name, source="uploads.stats", column=name, type="double")
        for name in COLUMNS
    }


def fill(path: Path, options: argparse.Namespace) -> None:
    """Write the data file and, beside it, the labels and the uploaded rows as Parquet."""
    columns = ", ".join(COLUMNS)
    values = ",\n    ".join(f"round(1000 * random(), 3) AS {name}" for name in COLUMNS)
    with duckdb.connect(str(path)) as connection:
        apply_migrations(connection, load_migrations())
        connection.execute("SELECT setseed(0.42)").fetchall()
        connection.execute(FILL_EVENTS, {"events": options.events})
        labels = {"events": options.events, "labels": options.window_labels}
        write_parquet(path.with_name("windows.parquet"), connection, EVENT_LABELS, labels)
        source = path.with_name("source.parquet")
        rows = UPLOADED_ROWS.format(columns=values)
        write_parquet(source, connection, rows, {"rows": options.rows})
        connection.execute(f"CREATE TEMP VIEW uploaded AS SELECT * FROM '{source}'")
        connection.execute(FILL_UPLOADS.format(columns=columns))
        labels = {"rows": options.rows, "labels": options.latest_labels}
        write_parquet(path.with_name("labels.parquet"), connection, UPLOAD_LABELS, labels)


def write_parquet(
    path: Path, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, int]
) -> None:
    """Write a query's result."""
    pq.write_table(connection.sql(sql, params=parameters).to_arrow_table(), path)


async def measure(path: Path, labels: pa.Table, specs: dict[str, FeatureSpec], runs: int) -> None:
    """Print one JSON line a run."""
    file = FeaturesFile(
        entities={"user": EntitySpec("user_id")},
        uploads={"stats": UploadSpec("user", "user_id", "at", dict.fromkeys(COLUMNS, "double"))},
        features=specs,
    )
    feature_set = compile_feature_set(file)
    settings = StoreSettings(path=path, memory_limit_bytes=MEMORY_LIMIT_BYTES)
    async with open_store(settings) as store:
        online = OnlineStore(feature_set, OnlineConfig(max_bytes=1))
        await online.rebuild(store.reader, store.writer.commit_seq)
        features = FeatureStore(feature_set, online, store.reader)
        for _ in range(runs):
            started_s = time.perf_counter()
            table = await features.training_set(labels, tuple(specs))
            seconds = time.perf_counter() - started_s
            peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({"seconds": seconds, "rows": table.num_rows, "peak_mib": peak_mib}))


def run_child(command: list[str]) -> list[dict[str, Any]]:
    """Run a measurement in a process of its own and return its lines."""
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    lines = finished.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def report(title: str, runs: list[dict[str, Any]], labels: int) -> None:
    """Print a measurement."""
    seconds = describe_spread([run["seconds"] for run in runs], "s")
    kept = {run["rows"] for run in runs}
    peak_mib = max(run["peak_mib"] for run in runs)
    print(f"{title}: {seconds}, {kept} of {labels:,} labels kept, peak {peak_mib:,.0f} MiB")


def feast_is_there(python: str) -> bool:
    """Return whether that interpreter can import Feast."""
    return subprocess.run([python, "-c", "import feast"], check=False).returncode == 0


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--window-labels", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--latest-labels", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--feast-python", help="an interpreter that has feast[duckdb]")
    parser.add_argument("--child", choices=("windows", "labels"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        specs = window_features() if options.child == "windows" else uploaded_features()
        labels = pq.read_table(options.path.with_name(f"{options.child}.parquet"))
        trio.run(measure, options.path, labels, specs, options.runs)
        return

    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trellis.duckdb"
        fill(path, options)
        child = [sys.executable, "-m", "benchmarks.bench_history", "--path", str(path)]
        child += ["--runs", str(options.runs), "--child"]
        report(
            f"ten window features over {options.events:,} events",
            run_child([*child, "windows"]),
            options.window_labels,
        )
        report(
            f"ten latest values over {options.rows:,} rows",
            run_child([*child, "labels"]),
            options.latest_labels,
        )
        if options.feast_python and feast_is_there(options.feast_python):
            script = str(Path(__file__).with_name("feast_latest.py"))
            runs = run_child([options.feast_python, script, folder, str(options.runs)])
            report("the same by Feast on its DuckDB offline store", runs, options.latest_labels)
        else:
            print("Feast was not compared: --feast-python names no interpreter that imports it")


if __name__ == "__main__":
    main()
