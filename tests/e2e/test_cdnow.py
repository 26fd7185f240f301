"""Real purchases, replayed through Kafka, against an independent computation in pandas.

The file is every purchase of 23,570 customers of an online music shop in 1997 and 1998 (the CDNOW
set of customer-base analysis). It lies beside the repository, in `shared/data`.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pandas as pd
import pytest

from proto.trellis.v1 import features_pb2
from tests.faults.feature_answers import EVENTS, read_metric, wait_until
from tests.support.engine_process import ROOT, EngineProcess

CSV = Path(os.environ.get("CDNOW_CSV", ROOT.parent / "shared" / "data" / "cdnow_events.csv"))
ROWS = 69_659
PAIRS = 1_000

pytestmark = pytest.mark.skipif(not CSV.exists(), reason=f"the data set is not at {CSV}")

DAY_US = 86_400_000_000
WINDOWS_US = {"24h": DAY_US, "30d": 30 * DAY_US, "39w": 273 * DAY_US}
TILES_US = {"24h": 900_000_000, "30d": DAY_US // 4, "39w": DAY_US}

FEATURES = [
    "purchases_24h",
    "spend_24h",
    "mean_purchase_30d",
    "max_purchase_30d",
    "purchases_39w",
    "spend_39w",
    "purchases_total",
    "first_purchase_value",
    "last_purchase_value",
    "seconds_since_purchase",
    "last_action",
    "distinct_actions_24h",
    "views_5m",
    "click_rate",
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("cdnow")
    with EngineProcess(folder / "data") as process:
        subprocess.run(
            [
                sys.executable,
                "main.py",
                "--data",
                str(process.data_dir),
                "generate",
                "--replay",
                str(CSV),
            ],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=120,
        )
        wait_until(process, "all events", lambda: read_metric(process, EVENTS) == ROWS, 60)
        yield process
        process.stop()


@pytest.fixture(scope="module")
def purchases() -> pd.DataFrame:
    frame = pd.read_csv(CSV)
    frame["time_us"] = pd.to_datetime(frame["timestamp"]).astype("datetime64[us, UTC]").astype(int)
    # In the order of the file, which is the order in which one customer's purchases were sent.
    return frame


def expected(history: pd.DataFrame, at_us: int) -> dict[str, object]:
    """Compute a customer's features with pandas, from the words of docs/features.md alone."""
    seen = history[history["time_us"] <= at_us]
    if seen.empty:
        return dict.fromkeys(FEATURES)

    def window(name: str) -> pd.Series:
        start_us = (at_us - WINDOWS_US[name]) // TILES_US[name] * TILES_US[name]
        return seen[seen["time_us"] >= start_us]["value"]

    def micros(values: pd.Series) -> float:
        return float(sum(round(value * 1e6) for value in values)) / 1e6

    day, month, weeks = window("24h"), window("30d"), window("39w")
    last_us = int(seen["time_us"].max())
    first_us = int(seen["time_us"].min())
    return {
        "purchases_24h": len(day),
        "spend_24h": micros(day),
        "mean_purchase_30d": micros(month) / len(month) if len(month) else None,
        "max_purchase_30d": float(month.max()) if len(month) else None,
        "purchases_39w": len(weeks),
        "spend_39w": micros(weeks),
        "purchases_total": len(seen),
        "first_purchase_value": float(seen[seen["time_us"] == first_us]["value"].iloc[0]),
        "last_purchase_value": float(seen[seen["time_us"] == last_us]["value"].iloc[-1]),
        "seconds_since_purchase": float(at_us - last_us) / 1e6,
        "last_action": "purchase",
        "distinct_actions_24h": 1 if len(day) else 0,
        "views_5m": 0,
        "click_rate": 0.0,
    }


def test_features_of_random_customers_at_random_past_times(
    engine: EngineProcess, purchases: pd.DataFrame
) -> None:
    rng = random.Random(39)
    first_us, last_us = int(purchases["time_us"].min()), int(purchases["time_us"].max())
    by_user = dict(iter(purchases.groupby("user_id")))
    pairs = [
        (rng.choice(list(by_user)), rng.randint(first_us - 5 * DAY_US, last_us + 30 * DAY_US))
        for _ in range(PAIRS)
    ]
    with grpc.insecure_channel(engine.address("service_b")) as channel:
        get = channel.unary_unary(
            "/trellis.v1.FeatureService/GetFeatures",
            request_serializer=features_pb2.GetFeaturesRequest.SerializeToString,
            response_deserializer=features_pb2.GetFeaturesResponse.FromString,
        )
        differing = []
        for user, at_us in pairs:
            request = features_pb2.GetFeaturesRequest(entity_key=user, features=FEATURES)
            request.as_of.FromMicroseconds(at_us)
            reply = get(request, timeout=30)
            given = {value.name: decoded(value) for value in reply.features}
            wanted = expected(by_user[user], at_us)
            if given != wanted:
                differing.append((user, at_us, given, wanted))
    assert not differing, f"{len(differing)} of {PAIRS} differ, first: {differing[0]}"


def decoded(value: features_pb2.FeatureValue) -> object:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
