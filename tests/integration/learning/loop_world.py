"""The learning loop over a real data file and real jobs; the worker is played."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pyarrow as pa
import trio

from engine.config import (
    EntitySpec,
    FeaturesFile,
    FeatureSpec,
    LabelSpec,
    ModelSpec,
    ObservationsSpec,
    OnlineConfig,
    ThresholdsConfig,
)
from engine.errors import TrellisError
from engine.features import FeatureStore, OnlineStore, compile_feature_set
from engine.jobs import ClaimedJob, JobHooks, JobResult, Jobs
from engine.learning.alias_moves import AliasMoves
from engine.learning.announcing import announce
from engine.learning.drift_checks import DriftChecks, DriftEndings
from engine.learning.endings import TrainingEndings
from engine.learning.live_quality import LiveQuality
from engine.learning.payloads import DETECT_DRIFT, TRAIN
from engine.learning.ports import JobPlan
from engine.learning.scheduler import Scheduler
from engine.learning.trainings import Trainings
from engine.models import ModelRegistry
from engine.models.policy import Cause
from engine.records import EVENTS_SCHEMA, FEATURE_HISTORY_SCHEMA, Append, WriteRequest
from engine.store import Store, StoreSettings, open_store
from tests.integration.jobs.world import UnreliableClient, World
from tests.support.redis_servers import running_server

SECOND = 1_000_000
FEATURES = FeaturesFile(
    entities={"user": EntitySpec("user_id")},
    features={
        "views": FeatureSpec("views", "events", {"action": ("view",)}, "count"),
        "buys": FeatureSpec("buys", "events", {"action": ("buy",)}, "count"),
    },
)
MODEL = ModelSpec(
    name="buyer",
    entity="user",
    features=("views", "buys"),
    label=LabelSpec(within=5, where={"action": ("buy",)}),
    observations=ObservationsSpec(every=10, last=100, active=30),
)
UNLABELLED = ModelSpec(name="list", entity="user", features=("views",))


class PlayedLoader:
    """Plays the workers that score: they load versions, save those that are broken."""

    def __init__(self, **broken: TrellisError) -> None:
        self.broken = broken
        self.loaded: list[tuple[str, int]] = []

    async def preload(self, model: str, version: int, within_s: float) -> None:
        await trio.lowlevel.checkpoint()
        if (error := self.broken.get(f"v{version}")) is not None:
            raise error
        self.loaded.append((model, version))


@attrs.define
class Loop:
    store: Store
    jobs: Jobs
    features: FeatureStore
    models: ModelRegistry
    trainings: Trainings
    checks: DriftChecks
    scheduler: Scheduler
    endings: TrainingEndings

    async def add_events(self, *events: tuple[int, str, int]) -> None:
        rows = [
            {
                "user_id": user,
                "action": action,
                "event_time": at_s * SECOND,
                "ingest_time": 0,
                "topic": "t",
                "partition": 0,
                "offset": 0,
            }
            for user, action, at_s in events
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=EVENTS_SCHEMA)
        await self.store.writer.submit(WriteRequest((Append("events", batch),)))

    async def add_outcomes(self, dataset: str, *rows: tuple[int, int, dict[str, object]]) -> None:
        """Write uploaded rows: entity, time in seconds, columns."""
        data = [
            {
                "entity_key": entity,
                "dataset": dataset,
                "fields": json.dumps(fields),
                "event_time": at_s * SECOND,
            }
            for entity, at_s, fields in rows
        ]
        batch = pa.RecordBatch.from_pylist(data, schema=FEATURE_HISTORY_SCHEMA)
        await self.store.writer.submit(WriteRequest((Append("feature_history", batch),)))

    async def claim(self) -> ClaimedJob:
        return await self.claim_within(5)

    async def add_predictions(
        self,
        version: int,
        predicted: Sequence[tuple[int, int, float]],
        made_us: int | None = None,
    ) -> None:
        """Write predictions: entity, time in seconds, score; made then, or when `made_us` says."""
        times = pa.array([at_s * SECOND for _, at_s, _ in predicted], pa.timestamp("us"))

        def same(value: object, type_: pa.DataType) -> pa.Array:
            return pa.array([value] * len(predicted), type_)

        data = pa.RecordBatch.from_pydict(
            {
                "prediction_id": [f"P{at_s}-{entity}" for entity, at_s, _ in predicted],
                "predicted_at": times if made_us is None else same(made_us, pa.timestamp("us")),
                "model": same("buyer", pa.string()),
                "version": same(version, pa.int32()),
                "entity_key": pa.array([entity for entity, _, _ in predicted], pa.int64()),
                "as_of": times,
                "feature_commit_seq": same(1, pa.int64()),
                "inputs": same("[]", pa.string()),
                "statuses": same("", pa.string()),
                "prediction": same("true", pa.string()),
                "score": pa.array([score for _, _, score in predicted], pa.float64()),
                "probabilities": same(None, pa.string()),
                "shadow": same(False, pa.bool_()),
                "request_id": same(None, pa.string()),
            }
        )
        await self.store.writer.submit(WriteRequest((Append("predictions", data),)))

    async def claim_within(self, wait_s: float) -> ClaimedJob:
        [job] = await self.jobs.claim("slot", None, 1, wait_s)
        return job

    async def train(self, **changes: object) -> None:
        """Have a version trained by call."""
        await self.trainings.start("buyer", Cause.CALL)
        assert await self.complete(await self.claim(), **changes)

    async def complete(self, job: ClaimedJob, **changes: object) -> bool:
        result = {**(RESULT if job.job_type == TRAIN else DRIFT), **changes}
        [verdict] = await self.jobs.complete(
            "slot", [JobResult(job.job_id, job.token, json.dumps(result))]
        )
        return verdict.accepted


def metric(value: float) -> list[dict[str, object]]:
    return [{"name": "roc_auc", "value": value, "low": value - 0.1, "high": value + 0.1}]


DRIFT = {
    "model": "buyer",
    "version": 2,
    "window_start_us": 1,
    "window_end_us": 2,
    "rows": 400,
    "reference_rows": 300,
    "verdict": "STABLE",
    "features_checked": 2,
    "features_drifted": 0,
    "prediction_drifted": False,
    "not_compared": {"buys": "no_reference"},
    "features": [
        {
            "feature": "views",
            "kind": "numeric",
            "reference_rows": 300,
            "current_rows": 390,
            "psi": 0.5,
            "ks_statistic": 0.3,
            "ks_p_value": 1e-9,
            "chi_squared": None,
            "chi_squared_p_value": None,
            "adjusted_p_value": 2e-9,
            "missing_p_value": 0.25,
            "adjusted_missing_p_value": 0.5,
            "wasserstein": 0.7,
            "reference_missing_rate": 0.0,
            "current_missing_rate": 0.025,
            "new_categories": [],
            "drifted": True,
            "reasons": ["psi", "ks"],
            "reference": {"edges": [1.0], "shares": [0.5, 0.5]},
            "current": {"edges": [1.0], "shares": [0.25, 0.75]},
        },
        {
            "feature": "plan",
            "kind": "categorical",
            "reference_rows": 300,
            "current_rows": 400,
            "psi": 0.0,
            "ks_statistic": None,
            "ks_p_value": None,
            "chi_squared": 0.1,
            "chi_squared_p_value": 0.9,
            "adjusted_p_value": 0.9,
            "wasserstein": None,
            "reference_missing_rate": 0.0,
            "current_missing_rate": 0.0,
            "new_categories": ["gold"],
            "drifted": False,
            "reasons": [],
            "reference": {"categories": ["free"], "shares": [1.0]},
            "current": {"categories": ["free"], "shares": [1.0]},
        },
    ],
    "thresholds": {},
}
RESULT = {
    "artifact": {"name": "models/ab", "sha256": "ab" * 32, "size_bytes": 10},
    "reference": {"name": "models/cd", "sha256": "cd" * 32, "size_bytes": 20},
    "estimator": "LogisticRegression",
    "task": "classification",
    "classes": ["false", "true"],
    "metrics": metric(0.7),
    "champion_metrics": None,
    "importance": [{"feature": "views", "importance": 0.1, "spread": 0.01}],
    "rows_fitted": 300,
    "rows_tested": 100,
    "trained_from_us": 0,
    "trained_until_us": 0,
    "lineage": {"seed": 1},
}


@asynccontextmanager
async def open_loop(
    folder: Path, model: ModelSpec = MODEL, defined: FeaturesFile = FEATURES
) -> AsyncIterator[Loop]:
    declared = {"buyer": model, "list": UNLABELLED}
    endings = TrainingEndings(declared)
    with running_server("redis6") as server:
        client = UnreliableClient(server)
        with contextlib.closing(client):
            async with open_store(StoreSettings(path=folder / "trellis.duckdb")) as store:
                world = World(store, server, client, queue_name="learning")
                world.hooks = {
                    TRAIN: JobHooks(
                        complete=endings.complete,
                        hold=endings.hold,
                        fail=endings.fail,
                        retry=endings.begin_again,
                    ),
                    DETECT_DRIFT: JobHooks(complete=DriftEndings().complete),
                }
                feature_set = compile_feature_set(defined)
                online = OnlineStore(feature_set, OnlineConfig())
                store.writer.add_commit_listener(online.apply)
                await online.rebuild(store.reader, store.writer.commit_seq)
                models = ModelRegistry(
                    store.writer, store.reader, dict.fromkeys(defined.features, "user")
                )
                await models.load()
                await models.sync_declared(declared)
                async with world.open() as jobs:
                    await jobs.wait_queue_open()
                    trainings = Trainings(
                        jobs,
                        models,
                        store.reader,
                        store.writer,
                        declared,
                        defined,
                        JobPlan(pool="default", max_attempts=3),
                    )
                    await trainings.load()
                    endings.attach(models, trainings, feature_set)
                    checks = DriftChecks(
                        jobs,
                        models,
                        trainings,
                        store.reader,
                        store.writer,
                        store.writer,
                        ThresholdsConfig(),
                        JobPlan(pool="default", max_attempts=3),
                    )
                    store.writer.add_commit_listener(announce)
                    store.writer.add_commit_listener(checks.note_commit)
                    await checks.load()
                    aliases = AliasMoves(models, PlayedLoader())
                    quality = LiveQuality(
                        declared, defined, models, aliases, store.reader, store.writer
                    )
                    scheduler = Scheduler(
                        declared,
                        models,
                        trainings,
                        checks,
                        store.reader,
                        store.writer,
                        quality,
                        feature_set,
                    )
                    features = FeatureStore(feature_set, online, store.reader)
                    yield Loop(store, jobs, features, models, trainings, checks, scheduler, endings)


def time_at(at_s: int) -> object:
    return pa.scalar(at_s * SECOND, pa.timestamp("us")).as_py()
