"""Predictions explained from history: real events and uploads, whatever came after them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pytest
import trio

from engine import metrics
from engine.clock import to_datetime
from engine.config import (
    EntitySpec,
    FeaturesFile,
    FeatureSpec,
    LabelSpec,
    ModelSpec,
    OnlineConfig,
    UploadSpec,
)
from engine.errors import FailedPreconditionError
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.jobs.job_ids import read_order_ms
from engine.models import ModelRegistry
from engine.records import EVENTS_SCHEMA, FEATURE_HISTORY_SCHEMA, Append, Upsert, WriteRequest
from engine.serving.explaining import (
    Explainer,
    Explanation,
    PredictionMovedError,
    PredictionNotKeptError,
)
from engine.serving.plans import Plans
from engine.serving.prediction_log import PredictionLog
from engine.serving.predictor import Prediction, Predictor
from engine.serving.rows import VersionRows
from engine.serving.scorers import Scorer
from engine.serving.scoring import Report, Scoring
from engine.serving.settings import ServingSettings
from engine.store import Store, StoreSettings, open_store
from tests.support.trained_version import CHAMPION, ref_of, trained_of

SECOND = 1_000_000
NOW_S = 10_000_000
ALONE = Scorer("w", "j", "t")
DEFINED = {
    "views": FeatureSpec("views", "events", {"action": ("view",)}, "count", window_s=3600),
    "spend": FeatureSpec("spend", "events", {"action": ("buy",)}, "sum", "value", window_s=86400),
    "last_action": FeatureSpec("last_action", "events", {}, "last", "action", window_s=7200),
    "plan": FeatureSpec("plan", "uploads.profiles", column="plan", type="string"),
    "rate": FeatureSpec("rate", expression="spend / (views + 3)"),
}
UPLOADS = {"profiles": UploadSpec("user", "user_id", "at", {"plan": "string"})}


def defined(**changes: FeatureSpec) -> FeaturesFile:
    return FeaturesFile(
        entities={"user": EntitySpec("user_id")}, uploads=UPLOADS, features={**DEFINED, **changes}
    )


class HasLease:
    def holds_job(self, worker_id: str, job_id: str, token: str) -> bool:
        return True

    def is_relieved(self, worker_id: str) -> bool:
        return False


@attrs.frozen
class World:
    store: Store
    predictor: Predictor
    explainer: Explainer

    async def act(self, *events: tuple[str, float, float | None], entity_key: int = 7) -> None:
        """Events of an entity: action, time in seconds, value; in one commit."""
        rows = [
            {
                "user_id": entity_key,
                "action": action,
                "event_time": round(at_s * SECOND),
                "ingest_time": 0,
                "value": value,
                "topic": "t",
                "partition": 0,
                "offset": offset,
            }
            for offset, (action, at_s, value) in enumerate(events)
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=EVENTS_SCHEMA)
        await self.store.writer.submit(WriteRequest((Append("events", batch),)))

    async def upload(self, plan: str, at_s: int) -> None:
        row = {
            "entity_key": 7,
            "dataset": "profiles",
            "fields": json.dumps({"plan": plan}),
            "event_time": at_s * SECOND,
        }
        batch = pa.RecordBatch.from_pylist([row], schema=FEATURE_HISTORY_SCHEMA)
        await self.store.writer.submit(WriteRequest((Append("feature_history", batch),)))

    async def fill(self) -> None:
        """What is known before the prediction; some of it too old to count."""
        await self.act(
            ("view", NOW_S - 90_000, None),
            ("view", NOW_S - 5_000, None),
            ("buy", NOW_S - 4_000, 0.1),
            ("buy", NOW_S - 3_000, 0.2),
            ("view", NOW_S - 2_000, None),
            ("cart", NOW_S - 8_000, None),
            ("cart", NOW_S - 1_000, None),
        )
        await self.act(("view", NOW_S - 500, None), entity_key=8)
        await self.upload("free", NOW_S - 50_000)
        await self.upload("pro", NOW_S - 40_000)

    async def go_on(self) -> None:
        """What comes later: new events, late ones and an upload that would have changed all."""
        await self.act(("view", NOW_S + 10, None), ("buy", NOW_S + 20, 50.0))
        await self.act(("view", NOW_S - 100, None), ("buy", NOW_S - 50, 9.0))
        await self.upload("late", NOW_S - 10)

    async def predict(self, **overrides: Any) -> Prediction:
        with trio.fail_after(10):
            return await self.predictor.predict("m", None, 7, overrides)


@asynccontextmanager
async def open_world(
    folder: Path, features_file: FeaturesFile | None = None, log_share: float = 1.0
) -> AsyncIterator[World]:
    features_file = features_file or defined()
    feature_set = compile_feature_set(features_file)
    spec = ModelSpec("m", "user", tuple(DEFINED), LabelSpec(within=5), log_share=log_share)
    async with (
        open_store(StoreSettings(path=folder / "trellis.duckdb")) as store,
        trio.open_nursery() as nursery,
    ):
        online = OnlineStore(feature_set, OnlineConfig())
        store.writer.add_commit_listener(online.apply)
        await online.rebuild(store.reader, store.writer.commit_seq)
        models = ModelRegistry(
            store.writer, store.reader, dict.fromkeys(features_file.features, "user")
        )
        await models.load()
        if not models.list():
            await models.register("m", tuple(DEFINED))
            trained = trained_of(ref_of(b"artifact"), task="regression")
            planned = models.plan_training("m", tuple(DEFINED), trained, CHAMPION)
            await store.writer.submit(WriteRequest(planned.operations))

        def clock() -> int:
            return NOW_S * SECOND

        features = FeatureStore(feature_set, online, store.reader, clock)
        log, scoring = PredictionLog(store.writer), Scoring(ServingSettings())
        predictor = Predictor(
            models, features, Plans(feature_set), scoring, log, {"m": spec}, clock
        )
        await nursery.start(log.run)
        await nursery.start(scoring.run, HasLease(), no_versions)
        nursery.start_soon(play_worker, scoring)
        yield World(store, predictor, Explainer(models, features, feature_set, store.reader, log))
        nursery.cancel_scope.cancel()


def no_versions() -> list[VersionRows]:
    return []


async def play_worker(scoring: Scoring) -> None:
    """Score everything 0.5."""
    report = Report()
    while True:
        batch = (await scoring.exchange(ALONE, report, 10.0)).batch
        if batch is None:
            report = Report()
            continue
        table = pa.table({"score": pa.array([0.5] * len(batch.rows), pa.float64())})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        report = Report(batch.number, bytes(sink.getvalue()))


def values(found: Explanation) -> dict[str, Any]:
    return {one.name: one.value for one in found.rebuilt.values}


def check_reproduced(found: Explanation, made: Prediction) -> None:
    assert found.reproduced
    assert all(found.equal)
    assert found.given == tuple(one.value for one in made.row.values)
    assert values(found) == {
        "views": 1, "spend": 0.3, "last_action": "cart", "plan": "pro", "rate": 0.3 / 4,
    }  # fmt: skip
    assert found.rebuilt.commit_seq == made.row.commit_seq
    seen = [
        (event.action, NOW_S - event.event_time_us // SECOND, event.value, event.features)
        for event in found.events
    ]
    assert seen == [
        ("cart", 1_000, None, ("last_action",)),
        ("view", 2_000, None, ("views", "last_action", "rate")),
        ("buy", 3_000, 0.2, ("spend", "last_action", "rate")),
        ("buy", 4_000, 0.1, ("spend", "last_action", "rate")),
        ("view", 5_000, None, ("last_action",)),
    ]


async def test_a_prediction_is_rebuilt_value_by_value_whatever_came_after_it(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict()
        await world.go_on()
        check_reproduced(await world.explainer.explain(made.prediction_id), made)
        later = await world.predict()
        found = await world.explainer.explain(later.prediction_id)
        assert found.reproduced
        assert values(found)["plan"] == "late"
        assert values(found)["spend"] == 9.3


async def test_the_next_engine_explains_it_the_same(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict()
    async with open_world(tmp_path) as world:
        await world.go_on()
        check_reproduced(await world.explainer.explain(made.prediction_id), made)


async def test_what_was_overridden_is_shown_and_not_compared(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict(views=None, plan="gold", rate=-0.0)
        await world.go_on()
        found = await world.explainer.explain(made.prediction_id)
    assert found.reproduced
    assert found.given[:4] == (None, 0.3, "cart", "gold")
    assert str(found.given[4]) == "-0.0"
    assert found.statuses == "OPPOO"
    assert found.equal == (False, True, True, False, False)
    assert values(found)["plan"] == "pro"


async def test_an_entity_without_data_is_explained_without_events(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        made = await world.predict()
        await world.go_on()
        found = await world.explainer.explain(made.prediction_id)
    assert found.reproduced
    assert found.statuses == "MMMMM"
    assert found.events == ()


@pytest.mark.parametrize(
    ("name", "spec", "value"),
    [
        (
            "views",
            FeatureSpec("views", "events", {"action": ("cart",)}, "sum", "value", window_s=3600),
            None,
        ),
        ("rate", FeatureSpec("rate", expression="spend / (views + 1)"), 0.15),
    ],
)
async def test_a_feature_that_is_defined_otherwise_by_now_is_the_one_that_differs(
    tmp_path: Path, name: str, spec: FeatureSpec, value: object
) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict()
    async with open_world(tmp_path, defined(**{name: spec})) as world:
        found = await world.explainer.explain(made.prediction_id)
    assert not found.reproduced
    assert not found.equal[[*DEFINED].index(name)]
    assert found.equal[[*DEFINED].index("spend")]


async def test_a_feature_that_is_not_defined_any_more_is_named(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict()
    fewer = FeaturesFile(
        entities={"user": EntitySpec("user_id")},
        uploads=UPLOADS,
        features={name: spec for name, spec in DEFINED.items() if name != "plan"},
    )
    async with open_world(tmp_path, fewer) as world:
        with pytest.raises(FailedPreconditionError, match=r"'plan'.*define it again"):
            await world.explainer.explain(made.prediction_id)


async def test_a_prediction_that_was_not_kept_says_what_decides_about_that(tmp_path: Path) -> None:
    async with open_world(tmp_path, log_share=0.0) as world:
        await world.fill()
        made = await world.predict()
        with pytest.raises(PredictionNotKeptError, match="log_share"):
            await world.explainer.explain(made.prediction_id)


async def test_a_prediction_that_was_moved_says_where_it_can_be_read(tmp_path: Path) -> None:
    async with open_world(tmp_path, log_share=0.0) as world:
        await world.fill()
        made = await world.predict()
        made_us = read_order_ms(made.prediction_id) * 1_000
        await note_archive(world.store, "1", "events", made_us + 60 * SECOND)
        await note_archive(world.store, "2", "predictions", made_us)
        with pytest.raises(PredictionNotKeptError):
            await world.explainer.explain(made.prediction_id)
        await note_archive(world.store, "3", "predictions", made_us + SECOND)
        until = to_datetime(made_us + SECOND).isoformat()
        with pytest.raises(PredictionMovedError, match=f"before {until}Z .*`main.py history`"):
            await world.explainer.explain(made.prediction_id)


async def note_archive(store: Store, archive_id: str, table: str, until_us: int) -> None:
    row = {
        "archive_id": archive_id,
        "table_name": table,
        "state": "stored",
        "planned_at": to_datetime(until_us),
        "until_time": to_datetime(until_us),
        "last_commit_seq": 1,
        "blob": "b",
        "kept": "[]",
    }
    upsert = Upsert("archives", tuple(row), [tuple(row.values())])
    await store.writer.submit(WriteRequest((upsert,)))


async def test_rows_of_a_caller_who_leaves_are_counted(tmp_path: Path) -> None:
    cancelled = metrics.PREDICTIONS.labels("m", 2, "cancelled")
    async with open_world(tmp_path) as world:
        before = cancelled._value.get()
        with trio.CancelScope() as scope:
            scope.cancel()
            await world.predictor.score_rows("m", None, [(1, 0.5, "view", "pro", 0.1)] * 3)
        assert cancelled._value.get() == before + 3
