"""The CDNOW example against a notebook: pandas and scikit-learn, written without Trellis.

The file holds 69,659 purchases of 23,570 customers; TRELLIS_CDNOW_CSV says where it is.
"""

import json
import os
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine.clock import read_clock_us
from engine.config import EngineConfig, OnlineConfig, load_config
from engine.config.model_rules import estimator_of
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.learning.payloads import request_training, write_training
from engine.learning.training_rows import fetch_training_rows
from engine.models import Model, ModelVersion, Source
from engine.models.labels import find_history
from engine.models.policy import Cause
from engine.records import EVENTS_SCHEMA, Append, WriteRequest
from engine.store import StoreSettings, open_store
from engine.tasks import train
from tests.support.training_rows import PlayedJob

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "configs" / "examples" / "cdnow"
CSV = Path(os.environ.get("TRELLIS_CDNOW_CSV", ROOT.parent / "shared/data/cdnow_events.csv"))
CUSTOMERS = 23_570

needs_purchases = pytest.mark.skipif(
    not CSV.exists(), reason=f"the CDNOW file is not at {CSV}; set TRELLIS_CDNOW_CSV to have it"
)


@attrs.frozen
class Notebook:
    """What an analyst would have done."""

    held_out: set[int]
    buyers: int
    roc_auc: float


def load_example(folder: Path) -> EngineConfig:
    return load_config(EXAMPLE, folder, [], {})


def write_notebook(test_share: float, seed: int) -> Notebook:
    purchases = pd.read_csv(CSV, parse_dates=["timestamp"])
    day_39 = pd.Timestamp("1997-09-30", tz="UTC")
    before = purchases[purchases.timestamp <= day_39]
    after = purchases[purchases.timestamp > day_39]
    customers = before.groupby("user_id").agg(
        last=("timestamp", "max"), frequency=("value", "size"), monetary=("value", "mean")
    )
    customers["recency"] = (day_39 - customers["last"]).dt.days
    again = customers.index.isin(after.user_id)
    held_out = np.array([is_held_out(key, seed, test_share) for key in customers.index])
    table = customers[["recency", "frequency", "monetary"]]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(table[~held_out], again[~held_out])
    score = model.predict_proba(table[held_out])[:, 1]
    return Notebook(
        set(customers.index[held_out]),
        int(again.sum()),
        float(roc_auc_score(again[held_out], score)),
    )


def is_held_out(key: int, seed: int, test_share: float) -> bool:
    """The documented choice of held-out entities, number by number."""
    return splitmix64(key ^ splitmix64(seed)) >> 11 < test_share * 2**53


def splitmix64(state: int) -> int:
    mask = 2**64 - 1
    state = state + 0x9E3779B97F4A7C15 & mask
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
    return state ^ state >> 31


async def fetch_rows(config: EngineConfig, folder: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Return the rows of the example's training and its payload, from the events alone."""
    feature_set = compile_feature_set(config.features)
    spec = config.models.models["buys_again"]
    async with open_store(StoreSettings(path=folder / "trellis.duckdb")) as store:
        online = OnlineStore(feature_set, OnlineConfig())
        store.writer.add_commit_listener(online.apply)
        await online.rebuild(store.reader, store.writer.commit_seq)
        for batch in read_batches():
            await store.writer.submit(WriteRequest((Append("events", batch),)))
        commit_seq = store.writer.commit_seq
        history = await find_history(store.reader, commit_seq, read_clock_us())
        assert history is not None
        request = request_training(
            spec,
            estimator_of(spec, config.features),
            Model(
                spec.name,
                "user",
                "",
                0,
                (ModelVersion(spec.name, 1, spec.features, Source.DECLARED, 0),),
            ),
            history,
            Cause.FIRST,
            None,
        )
        features = FeatureStore(feature_set, online, store.reader)
        rows = await fetch_training_rows(request, features, store.reader, config.features.uploads)
    return rows, json.loads(json.dumps(write_training(request)))


def read_batches() -> list[pa.RecordBatch]:
    purchases = pd.read_csv(CSV, parse_dates=["timestamp"])
    times = pa.array(purchases["timestamp"].dt.tz_localize(None).astype("datetime64[us]"))
    count = len(purchases)
    columns = {
        "user_id": pa.array(purchases["user_id"], pa.int64()),
        "action": pa.array(purchases["action"], pa.string()),
        "event_time": times,
        "ingest_time": times,
        "value": pa.array(purchases["value"], pa.float64()),
        "properties": pa.nulls(count, pa.string()),
        "topic": pa.array(["cdnow"] * count),
        "partition": pa.array([0] * count, pa.int32()),
        "offset": pa.array(range(count), pa.int64()),
    }
    whole = pa.record_batch(columns, schema=EVENTS_SCHEMA)
    return [whole.slice(begin, 20_000) for begin in range(0, count, 20_000)]


def test_the_example_is_a_sound_configuration(tmp_path: Path) -> None:
    config = load_example(tmp_path)
    spec = config.models.models["buys_again"]
    assert spec.features == ("recency", "frequency", "monetary")
    assert spec.label is not None
    assert spec.label.within == 39 * 7 * 86_400


@needs_purchases
async def test_held_out_customers_are_ranked_as_well_as_by_a_notebook(tmp_path: Path) -> None:
    config = load_example(tmp_path)
    spec = config.models.models["buys_again"]
    rows, payload = await fetch_rows(config, tmp_path)
    job = PlayedJob(rows, payload)
    result = train.run(job)
    notebook = write_notebook(spec.split.test_share, spec.split.seed)

    assert rows.num_rows == CUSTOMERS
    assert sum(rows["label"].to_pylist()) == notebook.buyers
    assert result["rows_tested"] == len(notebook.held_out)
    assert result["rows_fitted"] == CUSTOMERS - len(notebook.held_out)
    [roc_auc] = [one for one in result["metrics"] if one["name"] == "roc_auc"]
    assert roc_auc["value"] == pytest.approx(notebook.roc_auc, abs=0.002)
    assert roc_auc["low"] < notebook.roc_auc < roc_auc["high"]
    assert roc_auc["value"] > 0.7
    # Who has bought often will buy again: the first thing that the set is known for.
    assert result["importance"][0]["feature"] in ("frequency", "recency")
