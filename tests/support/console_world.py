"""A real engine with a history worth looking at: versions of a model, looks for drift, visitors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import msgspec
import trio

from engine.clock import read_clock_us, to_datetime
from engine.learning.drift_records import (
    DRIFTED,
    Bins,
    DriftReport,
    FeatureDrift,
    row_of_refusal,
    rows_of_report,
)
from engine.records import Upsert, WriteRequest
from engine.store import StoreSettings, open_store
from proto.trellis.v1 import jobs_pb2, workers_pb2
from tests.support.engine_process import EngineProcess
from tests.support.serving_engine import FEATURES
from tests.support.trained_version import CHAMPION, add_versions

MODELS = """
models:
  buys:
    entity: user
    description: Whether a visitor buys within the hour.
    features: [views, spend, last_action]
    label: {where: {action: purchase}, within: 1h}
    drift: {every: 1d}
"""
LEASE_S = 2.5
BODIES = ("fail", "sleep", "progress", "refuse", "die", "take_memory")
_JOB_TYPES = ", ".join(
    (
        *(f"{name}: {{handler: 'tests.support.job_bodies:{name}'}}" for name in BODIES),
        "loop: {handler: 'tests.support.job_bodies:loop', stall_s: 3}",
        "nowhere: {handler: 'tests.support.no_such_module:run'}",
    )
)
SETTINGS = (
    "workers.max_python_workers=4",
    "workers.pools={serve: 1}",
    "workers.check_interval_s=0.5",
    f"workers.check_deadline_s={LEASE_S}",
    "workers.retry_first_s=0.5",
    "workers.memory_soft_bytes=400MiB",
    "workers.memory_hard_bytes=500MiB",
    f"workers.job_types={{{_JOB_TYPES}}}",
)
DEAD_LETTERS = 10_000
HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
BROKEN = b'{"user_id": 7, "action":'
MENDED = b'{"user_id": 990007, "action": "view", "timestamp": 1735689600}'
_LOOKS = 12
_FEATURES = ("views", "spend", "(prediction)")


class ConsoleWorld:
    """The engine behind a Console."""

    def __init__(self, engine: EngineProcess, channel: grpc.Channel) -> None:
        self.engine = engine
        self._channel = channel

    @property
    def address(self) -> str:
        """Where the Console is."""
        return self.engine.address("metrics")

    @property
    def token(self) -> str:
        """What lets act."""
        return (self.engine.data_dir / "console-token").read_text().strip()

    def submit(self, job_type: str, **payload: Any) -> str:
        """Submit a job and return its id."""
        request = jobs_pb2.SubmitJobRequest(
            job_type=job_type, payload_json=msgspec.json.encode(payload).decode()
        )
        return str(self._call("JobService", "SubmitJob", request, jobs_pb2).job_id)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as the Console shows it."""
        answer = httpx.get(f"http://{self.address}/api/jobs/{job_id}", timeout=20)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def workers(self) -> list[Any]:
        """Return the slots."""
        request = workers_pb2.ListWorkersRequest()
        return list(self._call("WorkerService", "ListWorkers", request, workers_pb2).workers)

    def _call(self, service: str, method: str, request: Any, module: Any) -> Any:
        ask = self._channel.unary_unary(
            f"/trellis.v1.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=getattr(module, f"{method}Response").FromString,
        )
        return ask(request, timeout=20)


@contextmanager
def console_world(folder: Path) -> Iterator[ConsoleWorld]:
    """Run an engine on a data folder in which things have happened."""
    configs = folder / "configs"
    configs.mkdir(parents=True)
    (configs / "app.yaml").write_text("{}")
    (configs / "features.yaml").write_text(FEATURES)
    (configs / "models.yaml").write_text(MODELS)
    data = folder / "data"
    add_versions(data, configs, "buys", (CHAMPION, CHAMPION))
    trio.run(_add_looks, data)
    trio.run(_add_dead_letters, data)
    with (
        EngineProcess(data, config_dir=configs, settings=SETTINGS, arguments=("--demo",)) as engine,
        grpc.insecure_channel(engine.address("service_d")) as channel,
    ):
        yield ConsoleWorld(engine, channel)


async def _add_looks(data: Path) -> None:
    async with open_store(StoreSettings(path=data / "trellis.duckdb")) as store:
        for place in range(_LOOKS):
            report = _make_look(place)
            await store.writer.submit(WriteRequest(rows_of_report(report)))
            if report.verdict == DRIFTED:
                refusal = row_of_refusal(report, "policy.cool_down lasts 50 s more")
                await store.writer.submit(WriteRequest((refusal,)))


async def _add_dead_letters(data: Path) -> None:
    """Add refused messages: the latest would be taken in now, the one before is markup."""
    at_us = read_clock_us()
    payloads = [BROKEN] * (DEAD_LETTERS - 2) + [HOSTILE.encode(), MENDED]
    rows = tuple(
        (
            f"world/0/{place}",
            "world",
            0,
            place,
            "world",
            to_datetime(at_us - (DEAD_LETTERS - place) * 1_000).replace(tzinfo=None),
            payload,
            "invalid_json",
            HOSTILE if payload == HOSTILE.encode() else "refused by an earlier release",
            to_datetime(at_us).replace(tzinfo=None),
        )
        for place, payload in enumerate(payloads)
    )
    columns = (
        *("dead_letter_id", "topic", "partition", "offset", "broker_incarnation"),
        *("received_at", "payload", "reason", "detail", "published_at"),
    )
    async with open_store(StoreSettings(path=data / "trellis.duckdb")) as store:
        await store.writer.submit(WriteRequest((Upsert("dead_letters", columns, rows),)))


def _make_look(place: int) -> DriftReport:
    checked_us = read_clock_us() - (_LOOKS - place) * 60_000_000
    far = max(0.0, place / _LOOKS - 0.3)
    return DriftReport(
        report_id=f"look-{place:03}",
        model="buys",
        version=2,
        job_id=f"look-{place:03}",
        cause="schedule",
        checked_at_us=checked_us,
        window_start_us=checked_us - 60_000_000,
        window_end_us=checked_us,
        rows=600,
        verdict=DRIFTED if far > 0.2 else "STABLE",
        features=tuple(_feature(name, far / (1 + rank)) for rank, name in enumerate(_FEATURES)),
    )


def _feature(name: str, far: float) -> FeatureDrift:
    reference = [0.1, 0.2, 0.4, 0.2, 0.1]
    # Towards the higher values, without any share below nothing.
    weights = [share * (1 + far * (rank - 2) / 2) for rank, share in enumerate(reference)]
    current = [weight / sum(weights) for weight in weights]
    return FeatureDrift(
        feature=name,
        kind="numeric",
        reference_rows=4_000,
        current_rows=600,
        psi=far * 1.2,
        ks_statistic=far / 2,
        ks_p_value=0.001,
        chi_squared=None,
        chi_squared_p_value=None,
        adjusted_p_value=0.004,
        wasserstein=far * 3,
        reference_missing_rate=0.0,
        current_missing_rate=0.02,
        new_categories=[],
        drifted=far > 0.2,
        reasons=[f"psi {far * 1.2:.2f} reaches 0.2"] if far > 0.2 else [],
        reference=Bins(shares=reference, edges=[1.0, 5.0, 20.0, 100.0]),
        current=Bins(shares=current, edges=[1.0, 5.0, 20.0, 100.0]),
    )
