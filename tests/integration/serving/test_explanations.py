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
from engine.backends.blobs import BlobStore
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
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
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.features.horizon import Horizon
from engine.features.resting import describe_rules, write_movable_events
from engine.jobs.job_ids import read_order_ms
from engine.models import ModelRegistry
from engine.records import EVENTS_SCHEMA, FEATURE_HISTORY_SCHEMA, Append, Upsert, WriteRequest
from engine.retention import Archiver, events
from engine.retention.archiver import Bound
from engine.serving.explaining import (
    Comparison,
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
    folder: Path
    store: Store
    features: FeatureStore
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

    async def move_events(self, until_s: int) -> None:
        """Move what may be moved of the events before a time."""
        defined = self.features.feature_set.events
        movable = events(1, write_movable_events(defined), describe_rules(defined))
        folder = self.folder / "blobs"
        folder.mkdir(mode=0o700, exist_ok=True)
        blobs = BlobStore(FolderDriver(open_blob_files(folder), 10.0))
        archiver = Archiver(self.store.reader, self.store.writer, blobs, lambda: NOW_S * SECOND)
        bound = Bound(until_s * SECOND, self.store.writer.commit_seq)
        keys = await archiver.fetch_keys(movable, bound, 1_000)
        assert (await archiver.move(movable, bound, keys)).rows > 0

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
        horizon = Horizon()
        await horizon.load(store.reader)
        online = OnlineStore(feature_set, OnlineConfig(), horizon=horizon)
        store.writer.add_commit_listener(horizon.note_commit)
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

        features = FeatureStore(feature_set, online, store.reader, clock, horizon)
        log, scoring = PredictionLog(store.writer), Scoring(ServingSettings())
        predictor = Predictor(
            models, features, Plans(feature_set), scoring, log, {"m": spec}, clock
        )
        await nursery.start(log.run)
        await nursery.start(scoring.run, HasLease(), no_versions)
        nursery.start_soon(play_worker, scoring)
        explainer = Explainer(models, features, store.reader, log)
        yield World(folder, store, features, predictor, explainer)
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
    return {one.name: one.rebuilt.value for one in found.features if one.rebuilt is not None}


def given(found: Explanation) -> tuple[Any, ...]:
    return tuple(one.given for one in found.features)


def compared(found: Explanation) -> dict[str, Comparison]:
    return {one.name: one.comparison for one in found.features}


def comparisons(**changes: Comparison) -> dict[str, Comparison]:
    return dict.fromkeys(DEFINED, Comparison.EQUAL) | changes


def check_reproduced(found: Explanation, made: Prediction) -> None:
    assert found.reproduced
    assert compared(found) == comparisons()
    assert given(found) == tuple(one.value for one in made.row.values)
    assert values(found) == {
        "views": 1, "spend": 0.3, "last_action": "cart", "plan": "pro", "rate": 0.3 / 4,
    }  # fmt: skip
    assert found.commit_seq == made.row.commit_seq
    assert found.moved_before_us is None
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
    assert given(found)[:4] == (None, 0.3, "cart", "gold")
    assert str(given(found)[4]) == "-0.0"
    overridden = dict.fromkeys(("views", "plan", "rate"), Comparison.OVERRIDDEN)
    assert compared(found) == comparisons(**overridden)
    assert values(found)["plan"] == "pro"


async def test_an_entity_without_data_is_explained_without_events(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        made = await world.predict()
        await world.go_on()
        found = await world.explainer.explain(made.prediction_id)
    assert found.reproduced
    assert [one.status for one in found.features] == ["M"] * 5
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
    assert compared(found)[name] is Comparison.DIFFERENT
    assert compared(found)["spend"] is Comparison.EQUAL


async def test_a_feature_that_is_not_defined_any_more_is_not_compared(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict()
    fewer = FeaturesFile(
        entities={"user": EntitySpec("user_id")},
        uploads=UPLOADS,
        features={name: spec for name, spec in DEFINED.items() if name != "plan"},
    )
    async with open_world(tmp_path, fewer) as world:
        found = await world.explainer.explain(made.prediction_id)
    assert not found.reproduced
    assert compared(found) == comparisons(plan=Comparison.UNDEFINED)
    assert given(found)[3] == "pro"
    assert "plan" not in values(found)


async def test_what_rests_on_events_that_have_moved_is_said_and_the_rest_is_rebuilt(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict()
        await world.go_on()
        # Within the day of `spend` and `rate`, and before the two hours of `last_action`.
        await world.move_events(NOW_S - 7_500)
        found = await world.explainer.explain(made.prediction_id)
    async with open_world(tmp_path) as world:
        again = await world.explainer.explain(made.prediction_id)
    lost = dict.fromkeys(("spend", "rate"), Comparison.EVENTS_MOVED)
    assert again == found
    assert not found.reproduced
    assert compared(found) == comparisons(**lost)
    assert given(found) == (1, 0.3, "cart", "pro", 0.3 / 4)
    assert values(found) == {"views": 1, "last_action": "cart", "plan": "pro"}
    assert found.score.score == 0.5
    assert found.moved_before_us == (NOW_S - 7_500) * SECOND
    assert [event.action for event in found.events] == ["cart", "view", "buy", "buy", "view"]


async def test_when_all_events_have_moved_what_was_given_is_still_told(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict(views=3)
        await world.go_on()
        await world.move_events(NOW_S + 60)
        found = await world.explainer.explain(made.prediction_id)
    lost = dict.fromkeys(("spend", "last_action", "rate"), Comparison.EVENTS_MOVED)
    assert compared(found) == comparisons(views=Comparison.OVERRIDDEN, **lost)
    assert given(found)[:4] == (3, 0.3, "cart", "pro")
    assert values(found) == {"plan": "pro"}
    assert not found.reproduced


async def test_totals_are_rebuilt_though_what_else_there_was_has_moved(tmp_path: Path) -> None:
    total = FeatureSpec("spend", "events", {"action": ("buy",)}, "sum", "value")
    async with open_world(tmp_path, defined(spend=total)) as world:
        await world.fill()
        made = await world.predict()
        await world.go_on()
        await world.move_events(NOW_S + 60)
        found = await world.explainer.explain(made.prediction_id)
    lost = dict.fromkeys(("views", "last_action", "rate"), Comparison.EVENTS_MOVED)
    assert compared(found) == comparisons(**lost)
    assert values(found) == {"spend": 0.3, "plan": "pro"}
    assert {event.action for event in found.events} >= {"buy"}


async def test_a_model_without_features_that_are_defined_is_explained_without_comparing(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        await world.fill()
        made = await world.predict()
    others = FeaturesFile(
        entities={"user": EntitySpec("user_id")},
        features={"others": FeatureSpec("others", "events", {}, "count", window_s=60)},
    )
    async with open_world(tmp_path, others) as world:
        found = await world.explainer.explain(made.prediction_id)
    assert set(compared(found).values()) == {Comparison.UNDEFINED}
    assert given(found) == (1, 0.3, "cart", "pro", 0.3 / 4)
    assert found.events == ()


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
