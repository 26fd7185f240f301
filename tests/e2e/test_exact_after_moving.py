"""An engine that moves old events answers, trains and predicts as one that keeps all of them."""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
import trio
from google.protobuf.timestamp_pb2 import Timestamp

from engine.records import EVENTS_SCHEMA, Append, WriteRequest
from engine.store import StoreSettings, open_store
from proto.trellis.v1 import features_pb2
from tests.support.learning_engine import LearningEngine, query, running_engine, write_configs
from tests.support.serving_engine import wait_until

DAY_S = 86_400
DAYS = 100
USERS = 30
FEATURES = """
entities:
  user: {key: user_id, type: int64}
features:
  views_2d: {from: events, where: {action: view}, aggregate: count, window: 2d, tile: 1d}
  spend_30d:
    {from: events, where: {action: purchase}, aggregate: sum, column: value, window: 30d, tile: 1d}
  purchases: {from: events, where: {action: purchase}, aggregate: count}
  dearest: {from: events, aggregate: max, column: value}
  kinds: {from: events, aggregate: distinct_count, column: action}
  first_action: {from: events, aggregate: first, column: action}
"""
NAMES = ("views_2d", "spend_30d", "purchases", "dearest", "kinds", "first_action")
MODELS = f"""
models:
  buys:
    entity: user
    features: [{", ".join(NAMES)}]
    label: {{where: {{action: purchase}}, within: 1d}}
    observations: {{every: 12h, last: 7d, active: 3d}}
    split: {{least_rows: 100}}
    policy: {{metric: log_loss}}
"""
KEPT = "retention.events_days=40"


def events(now_s: float) -> Iterator[list[dict[str, Any]]]:
    """Yield a day's events after the other, up to an hour ago, taken in when they happened."""
    rng = random.Random(5)
    offset = 0
    for day in range(DAYS, 0, -1):
        rows = []
        for user in range(USERS):
            # One in ten has not been seen for a long time.
            if user % 10 == 9 and day < DAYS - 5:
                continue
            for _ in range(rng.randrange(1, 5)):
                at_us = int((now_s - 3_600 - (day - 1 + rng.random()) * DAY_S) * 1e6)
                wants = (user + day // 3) % 3 == 0
                rows.append(
                    {
                        "user_id": user,
                        "action": "purchase" if rng.random() < (0.5 if wants else 0.1) else "view",
                        "event_time": at_us,
                        "ingest_time": at_us,
                        "value": rng.choice([None, 1.5, rng.random() * 100]),
                        "topic": "t",
                        "partition": 0,
                        "offset": (offset := offset + 1),
                    }
                )
        yield rows


async def write_history(file: Path, now_s: float) -> None:
    async with open_store(StoreSettings(path=file)) as store:
        for rows in events(now_s):
            batch = pa.RecordBatch.from_pylist(rows, schema=EVENTS_SCHEMA)
            await store.writer.submit(WriteRequest((Append("events", batch),)))


def read(engine: LearningEngine, user: int, at_s: int) -> list[Any]:
    """Return the values of a user's features at a time."""
    request = features_pb2.GetFeaturesRequest(
        features=NAMES, entity_key=user, as_of=Timestamp(seconds=at_s)
    )
    reply = engine.call("FeatureService/GetFeatures", request)
    return [value.SerializeToString(deterministic=True) for value in reply.features]


def ask(engine: LearningEngine, now_s: int) -> dict[str, Any]:
    """Return what an engine makes of its data, all of it at times that do not pass."""
    moments = [now_s - days * DAY_S for days in (0, 1, 5, 9)]
    values = {(user, at): read(engine, user, at) for user in range(USERS + 1) for at in moments}
    # The first training starts by itself.
    wait_until(lambda: "champion" in engine.aliases(), 120)
    engine.wait_for_scorers(1)
    predicted = [engine.predict(user).prediction for user in range(USERS + 1)]
    trained = engine.model(engine.aliases()["champion"]).trained
    return {
        "features": values,
        "artifact": trained.sha256,
        "rows": (trained.rows_fitted, trained.rows_tested),
        "scores": [[(p.label, p.probability) for p in one.probabilities] for one in predicted],
    }


def moved_rows(engine: LearningEngine) -> float:
    return engine.metric('trellis_retention_rows_total{table="events"}')


def test_features_trainings_and_predictions_are_those_of_an_engine_that_keeps_everything(
    tmp_path: Path,
) -> None:
    now_s = int(time.time())
    whole, moving = tmp_path / "whole", tmp_path / "moving"
    write_configs(whole / "configs", features=FEATURES, models=MODELS)
    (whole / "data").mkdir()
    trio.run(write_history, whole / "data/trellis.duckdb", now_s)
    shutil.copytree(whole, moving)

    with running_engine(whole) as engine:
        expected = ask(engine, now_s)
    with running_engine(moving, settings=(KEPT,)) as engine:
        wait_until(lambda: moved_rows(engine) > 0, 60)
        assert engine.process.stop() == 0
    # From what is left, not from what memory still held when the rest was moved.
    with running_engine(moving, settings=(KEPT,)) as engine:
        found = ask(engine, now_s)
        with pytest.raises(grpc.RpcError) as refused:
            read(engine, 1, now_s - 15 * DAY_S)
    assert found == expected
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "the earliest time that can be asked for is" in refused.value.details()
    left = query(moving, "SELECT count(*) FROM events")[0][0]
    assert left < 0.8 * query(whole, "SELECT count(*) FROM events")[0][0]
