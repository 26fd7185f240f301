"""Feast's side of `bench_history`, run by an interpreter that has `feast[duckdb]` installed.

Reads `source.parquet` and `labels.parquet` from the folder given, prints one JSON line a run.
"""

import json
import resource
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

warnings.simplefilter("ignore")


def main() -> None:
    """Join the labels to the latest rows, as often as asked."""
    folder, runs = Path(sys.argv[1]), int(sys.argv[2])
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    user = Entity(name="user", join_keys=["entity_key"], value_type=ValueType.INT64)
    names = [f"f{number}" for number in range(10)]
    view = FeatureView(
        name="stats",
        entities=[user],
        ttl=timedelta(days=36_500),
        schema=[Field(name=name, dtype=Float64) for name in names],
        source=FileSource(path=str(folder / "source.parquet"), timestamp_field="event_time"),
    )
    store.apply([user, view])
    labels = pd.read_parquet(folder / "labels.parquet")
    labels["event_timestamp"] = labels.pop("event_time").dt.tz_localize("UTC")
    for _ in range(runs):
        started_s = time.perf_counter()
        result = store.get_historical_features(labels, [f"stats:{name}" for name in names])
        table = result.to_arrow()
        seconds = time.perf_counter() - started_s
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "rows": table.num_rows, "peak_mib": peak_mib}))


if __name__ == "__main__":
    main()
