"""An engine that has something to learn from: a quarter of an hour of a shop, in its data file."""

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import trio

from engine.models import Promotion
from engine.records import EVENTS_SCHEMA, Append, WriteRequest
from engine.store import StoreSettings, open_store
from proto.trellis.v1 import jobs_pb2, models_pb2, monitor_pb2
from tests.support.engine_process import EngineProcess
from tests.support.serving_engine import ServingEngine, wait_until
from tests.support.trained_version import CHAMPION, add_versions

USERS = 20
MINUTES = 15
FEATURES = """
entities:
  user: {key: user_id, type: int64}
features:
  views: {from: events, where: {action: view}, aggregate: count, window: 2m}
  carts: {from: events, where: {action: cart}, aggregate: count, window: 2m}
  last_action: {from: events, aggregate: last, column: action}
"""
MODELS = """
models:
  buys:
    entity: user
    features: [views, carts, last_action]
    label: {where: {action: purchase}, within: 30s}
    observations: {every: 30s, last: 1h, active: 5m}
    split: {least_rows: 100}
    drift: {window: 10m, least_rows: 50}
    policy: {metric: log_loss, promote: manual}
  listed:
    entity: user
    features: [views]
"""
QUICK = (
    "workers.check_interval_s=0.1",
    "workers.retry_first_s=0.1",
    "workers.retry_longest_s=0.5",
    "workers.restart_intensity=1000",
    "workers.restart_longest_s=0.1",
)
"""So that what is replaced or tried again is so at once."""
_FINAL = frozenset(
    {
        jobs_pb2.JOB_STATE_SUCCEEDED,
        jobs_pb2.JOB_STATE_FAILED,
        jobs_pb2.JOB_STATE_CANCELLED,
        jobs_pb2.JOB_STATE_DEAD,
    }
)


class LearningEngine(ServingEngine):
    """The real program, whose workers really train."""

    def retrain(self, model: str = "buys") -> tuple[str, bool]:
        """Call for a training; return its job, and whether the call made it."""
        reply = self.call("MonitorService/Retrain", monitor_pb2.RetrainRequest(model=model))
        return reply.job_id, reply.created

    def job(self, job_id: str) -> jobs_pb2.Job:
        return self.call("JobService/GetJob", jobs_pb2.GetJobRequest(job_id=job_id)).job

    def wait_for_end(self, job_id: str, within_s: float = 60.0) -> jobs_pb2.Job:
        wait_until(lambda: self.job(job_id).state in _FINAL, within_s)
        return self.job(job_id)

    def train(self, within_s: float = 60.0) -> jobs_pb2.Job:
        """Have a version trained, and return its job."""
        job_id, created = self.retrain()
        assert created
        return self.wait_for_end(job_id, within_s)

    def submit(self, job_type: str, **payload: Any) -> jobs_pb2.Job:
        """Have a job of a type of its own done."""
        request = jobs_pb2.SubmitJobRequest(job_type=job_type, payload_json=json.dumps(payload))
        job = self.wait_for_end(self.call("JobService/SubmitJob", request).job_id)
        assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED, job.error_message
        return job

    def model(self, version: int = 0) -> models_pb2.Model:
        request = models_pb2.GetModelRequest(model="buys", version=version)
        return self.call("ModelService/GetModel", request).model

    def set_champion(self, version: int) -> int:
        """Move the alias; return where it pointed."""
        request = models_pb2.SetAliasRequest(model="buys", alias="champion", version=version)
        return self.call("ModelService/SetAlias", request).previous_version

    def aliases(self) -> dict[str, int]:
        return {one.alias: one.version for one in self.model().aliases}

    def versions_of(self, job_id: str) -> list[int]:
        """Return the versions that a job made."""
        return [model.version for model in self._models() if model.trained.job_id == job_id]

    def trained_by(self, cause: str) -> list[int]:
        """Return the versions whose training something has called for."""
        return [model.version for model in self._models() if model.trained.cause == cause]

    def _models(self) -> list[models_pb2.Model]:
        latest = self.model().latest_version
        return [self.model(number) for number in range(1, latest + 1)]

    def check_log(self) -> None:
        """Nobody was shown a traceback, the operator included."""
        assert "Traceback" not in self.process.log_path.read_text()


def write_configs(folder: Path, *, features: str = FEATURES, models: str = MODELS) -> Path:
    """Write the configuration of these engines, in place of what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.yaml").write_text("{}")
    (folder / "features.yaml").write_text(features)
    (folder / "models.yaml").write_text(models)
    return folder


def prepare(
    folder: Path,
    promotions: Sequence[Promotion] = (CHAMPION,),
    *,
    models: str = MODELS,
    rush_s: int = 0,
) -> None:
    """Write configuration and history, and versions from 2 on, for an engine that is to be run.

    Args:
      promotions: of versions that were not really trained.
      rush_s: for how long, up to now, nobody has looked at anything and everybody filled carts.
    """
    configs, data = write_configs(folder / "configs", models=models), folder / "data"
    data.mkdir()
    trio.run(_write_history, data / "trellis.duckdb", rush_s)
    if promotions:
        add_versions(data, configs, "buys", promotions)


@contextmanager
def running_engine(
    folder: Path,
    *,
    scorers: int = 1,
    job_types: str = "",
    settings: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[LearningEngine]:
    """Run an engine in a prepared folder, with a worker that trains beside those that score.

    Args:
      job_types: of `workers.job_types`, without braces.
    """
    workers = (
        f"workers.max_python_workers={scorers + 1}",
        f"workers.pools={{serve: {scorers}}}",
        f"workers.job_types={{{job_types}}}",
    )
    process = EngineProcess(
        folder / "data",
        config_dir=folder / "configs",
        settings=(*workers, *QUICK, *settings),
        environment=environment,
    )
    with process:
        engine = LearningEngine(process)
        try:
            yield engine
        finally:
            engine.close()


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask the data file of an engine that is not running."""
    with duckdb.connect(str(folder / "data/trellis.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


async def _write_history(file: Path, rush_s: int) -> None:
    async with open_store(StoreSettings(path=file)) as store:
        batch = pa.RecordBatch.from_pylist(_events(rush_s), schema=EVENTS_SCHEMA)
        await store.writer.submit(WriteRequest((Append("events", batch),)))


def _events(rush_s: int) -> list[dict[str, Any]]:
    """Return events up to now, of which carts tell who buys."""
    rng = random.Random(7)
    start_s = time.time() - MINUTES * 60 - 5
    calm_ticks = MINUTES * 6 - rush_s // 10
    events: list[tuple[int, str, float]] = []
    for tick in range(MINUTES * 6):
        for user in range(1, USERS + 1):
            at_s = start_s + tick * 10 + rng.random() * 9
            wants = (tick // 12 + user) % 3 == 0
            carts = tick >= calm_ticks or (wants and rng.random() < 0.6)
            events.append((user, "cart" if carts else "view", at_s))
            if rng.random() < (0.3 if wants else 0.02):
                events.append((user, "purchase", at_s + 0.5))
    return [
        {
            "user_id": user,
            "action": action,
            "event_time": int(at_s * 1_000_000),
            "ingest_time": int(at_s * 1_000_000),
            "value": 9.5,
            "topic": "history",
            "partition": 0,
            "offset": offset,
        }
        for offset, (user, action, at_s) in enumerate(events)
    ]
