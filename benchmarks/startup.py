"""Start to ready, empty and with a large data file: `python -m benchmarks.startup`."""

import argparse
import tempfile
from pathlib import Path

import duckdb

from benchmarks.measure import describe_machine, describe_spread, resident_mib
from engine.store.migrate import apply_migrations, load_migrations
from tests.support.engine_process import EngineProcess

CONFIGS = Path(__file__).parent / "configs"

FILL = """
INSERT INTO events
SELECT
    CAST(hash(i) % $users AS BIGINT),
    ['view', 'view', 'view', 'click', 'cart', 'purchase'][1 + CAST(hash(i + 1) % 6 AS INTEGER)]
        AS action,
    CAST(now() AS TIMESTAMP) - to_microseconds(CAST(hash(i + 2) % 86400000000 AS BIGINT)),
    CAST(now() AS TIMESTAMP),
    CASE action WHEN 'purchase' THEN round(random() * 100, 2) END,
    NULL, 'trellis.events', CAST(i % 4 AS INTEGER), i // 4, 1 + i // 10000
FROM range($events) AS t(i)
"""


def fill(path: Path, events: int, users: int) -> None:
    """Write a data file with events of the last day."""
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as connection:
        apply_migrations(connection, load_migrations())
        connection.execute(FILL, {"events": events, "users": users})


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        empty = []
        for run in range(options.runs):
            with EngineProcess(Path(folder) / f"empty{run}", config_dir=CONFIGS) as engine:
                empty.append(engine.seconds_to_ready)
                engine.stop()
        print(f"start to ready, empty: {describe_spread(empty, 's')}")
        data = Path(folder) / "full"
        fill(data / "trellis.duckdb", options.events, options.users)
        full = []
        for _ in range(options.runs):
            with EngineProcess(data, config_dir=CONFIGS) as engine:
                full.append(engine.seconds_to_ready)
                memory = resident_mib(engine.pid)
                engine.stop()
        print(
            f"start to ready, {options.events:,} events and {options.users:,} entities: "
            f"{describe_spread(full, 's')}; engine's memory {memory:.0f} MiB"
        )


if __name__ == "__main__":
    main()
