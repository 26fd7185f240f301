"""A look for drift in a real worker process; the engine's side is played."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import trio

from engine.tasks.reference import make_reference
from engine.tasks.reference_file import write_reference
from engine.workers.host import SpawnSpec
from engine.workers.local_host import LocalHostSettings, open_local_host
from tests.support.control_server import ControlService, open_control
from tests.support.model_data_server import ModelDataPlayer

PAYLOAD: dict[str, Any] = {
    "model": "buyers",
    "version": 3,
    "features": ["clicks_5m", "plan"],
    "window_start_us": 0,
    "window_end_us": 1,
    "thresholds": {
        "psi": 0.2,
        "ks_statistic": 0.1,
        "missing_rate": 0.1,
        "alpha": 0.01,
        "share": 0.5,
        "least_rows": 200,
    },
}


def rows(mean: float, seed: int, count: int = 20_000) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "clicks_5m": random.poisson(mean, count),
            "plan": random.choice(["free", "pro"], count),
        }
    )


@asynccontextmanager
async def open_world(
    window: pa.Table, tmp_path: Path
) -> AsyncIterator[tuple[ControlService, ModelDataPlayer, Callable[[], Awaitable[object]]]]:
    data = ModelDataPlayer(window)
    data.champion = write_reference(make_reference(rows(2, seed=1), seed=1))
    data.champion_sha256 = hashlib.sha256(data.champion).hexdigest()
    async with open_control(more=[data]) as (service, address):
        settings = LocalHostSettings(
            data_dir=tmp_path,
            check_interval_s=0.1,
            check_deadline_s=5.0,
            preload=("engine.tasks.detect_drift",),
        )
        async with open_local_host(settings, address) as host:
            with trio.fail_after(60):
                await host.zygote_ready.wait()
            spec = SpawnSpec("worker-1", "slot-1", "default", "trellis worker 1")
            yield service, data, lambda: host.spawn(spec)


async def test_a_worker_compares_the_window_it_is_given_with_the_reference(tmp_path: Path) -> None:
    async with open_world(rows(3, seed=2), tmp_path) as (service, _, spawn):
        job_id = service.add("detect_drift", **PAYLOAD)
        await spawn()
        await service.until(lambda: job_id in service.completed, 60)
        result: Any = service.completed[job_id]
        assert (result["verdict"], result["rows"]) == ("DRIFTED", 20_000)
        assert [(one["feature"], one["reasons"]) for one in result["features"]] == [
            ("clicks_5m", ["psi", "ks"]),
            ("plan", []),
        ]


async def test_a_reference_that_was_changed_on_its_way_is_refused_and_counted(
    tmp_path: Path,
) -> None:
    async with open_world(rows(3, seed=2), tmp_path) as (service, data, spawn):
        data.champion_sha256 = "0" * 64
        job_id = service.add("detect_drift", **PAYLOAD)
        await spawn()
        await service.until(lambda: job_id in service.failed, 60)
        assert service.failed[job_id].permanent
        assert service.failed[job_id].code == "artifact_corrupt"
        name = "detect_drift/artifacts_refused"
        await service.until(lambda: service.checks[-1].counters.get(name) == 1)
