"""Trainings in real worker processes; the engine's side is played."""

import hashlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from engine.tasks import errors, train
from engine.tasks.artifacts import load_pipeline
from engine.tasks.reference_file import read_reference
from engine.workers.exits import WorkerExit
from engine.workers.host import SpawnSpec
from engine.workers.local_host import LocalHostSettings, open_local_host
from engine.workers.process import LocalWorker
from proto.trellis.v1 import workers_pb2 as pb
from tests.support.control_server import ControlService, open_control
from tests.support.model_data_server import ModelDataPlayer
from tests.support.training_rows import PlayedJob, make_payload, make_rows

Spawn = Callable[[str], Awaitable[LocalWorker]]
LONG = make_payload("RandomForestClassifier", parameters={"n_estimators": 100_000})
PIPELINE = "ARTIFACT_PART_PIPELINE"
REFERENCE = "ARTIFACT_PART_REFERENCE"


@asynccontextmanager
async def open_world(
    tmp_path: Path,
) -> AsyncIterator[tuple[ControlService, ModelDataPlayer, Spawn]]:
    data = ModelDataPlayer(make_rows())
    async with open_control(more=[data]) as (service, address):
        settings = LocalHostSettings(
            data_dir=tmp_path,
            check_interval_s=0.1,
            check_deadline_s=5.0,
            preload=("engine.tasks.train",),
        )
        async with open_local_host(settings, address) as host:
            with trio.fail_after(60):
                await host.zygote_ready.wait()

            async def spawn(worker_id: str) -> LocalWorker:
                spec = SpawnSpec(worker_id, "slot-1", "default", "trellis worker 1")
                return await host.spawn(spec)

            yield service, data, spawn


async def test_a_worker_trains_stores_and_tells_what_came_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as (service, data, spawn):
        job_id = service.add("train", **make_payload())
        await spawn("worker-1")
        await service.until(lambda: job_id in service.completed, 60)
        result: Any = service.completed[job_id]
        content = data.stored[job_id, PIPELINE]
        model = load_pipeline(content, result["artifact"]["sha256"])
        assert model.signature.model == "buyer"
        reference = read_reference(data.stored[job_id, REFERENCE])
        assert reference.rows == result["rows_fitted"]
        # The same as here, in another process: which worker trains makes no difference.
        here = PlayedJob(data.rows)
        assert train.run(here) == result
        assert here.stored["pipeline"] == content


async def test_a_worker_that_is_killed_leaves_nothing_and_the_next_trains_the_same(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as (service, data, spawn):
        service.add("train", **LONG)
        worker = await spawn("worker-1")
        await service.until(lambda: _is_fitting(service), 60)
        os.kill(worker.pid, signal.SIGKILL)
        assert (await worker.wait()).exit is not WorkerExit.LEFT
        assert data.stored == {}
        job_id = service.add("train", **make_payload("HistGradientBoostingClassifier"))
        await spawn("worker-2")
        await service.until(lambda: job_id in service.completed, 60)
        content = data.stored[job_id, PIPELINE]
        assert hashlib.sha256(content).hexdigest() == _sha256(service.completed[job_id])


async def test_a_training_is_cancelled_in_the_midst_of_its_fit(tmp_path: Path) -> None:
    async with open_world(tmp_path) as (service, data, spawn):
        job_id = service.add("train", **LONG)
        worker = await spawn("worker-1")
        await service.until(lambda: _is_fitting(service), 60)
        service.verdicts.append(
            pb.CheckResponse(verdict=pb.VERDICT_CANCEL_JOB, cancel_token=f"token of {job_id}")
        )
        await service.until(lambda: job_id in service.failed, 20)
        assert service.failed[job_id].code == errors.CODE_CANCELLED
        assert (await worker.wait()).exit is WorkerExit.RECYCLED
        assert data.stored == {}


async def test_a_champion_that_is_not_what_was_registered_is_refused_and_counted(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as (service, data, spawn):
        data.champion = b"something else"
        data.champion_sha256 = hashlib.sha256(b"what was registered").hexdigest()
        job_id = service.add("train", **make_payload(champion_version=1))
        await spawn("worker-1")
        await service.until(lambda: job_id in service.completed, 60)
        result: Any = service.completed[job_id]
        assert result["champion_metrics"] == []
        assert result["lineage"]["champion"]["code"] == "artifact_corrupt"
        await service.until(lambda: service.checks[-1].counters.get("train/artifacts_refused") == 1)


async def test_a_blob_store_that_is_away_fails_the_attempt_and_not_the_job(tmp_path: Path) -> None:
    async with open_world(tmp_path) as (service, data, spawn):
        data.is_store_away = True
        job_id = service.add("train", **make_payload())
        await spawn("worker-1")
        await service.until(lambda: job_id in service.failed, 60)
        assert not service.failed[job_id].permanent
        assert "blob store is away" in service.failed[job_id].message


async def test_a_job_that_cannot_succeed_says_so_with_its_code(tmp_path: Path) -> None:
    async with open_world(tmp_path) as (service, data, spawn):
        data.rows = make_rows(rows=50)
        job_id = service.add("train", **make_payload())
        await spawn("worker-1")
        await service.until(lambda: job_id in service.failed, 60)
        assert service.failed[job_id].permanent
        assert service.failed[job_id].code == "too_little_data"


async def test_rows_that_are_refused_fail_the_job_for_good(tmp_path: Path) -> None:
    async with open_world(tmp_path) as (service, data, spawn):
        data.refusal = "features.yaml does not define views any more"
        job_id = service.add("train", **make_payload())
        await spawn("worker-1")
        await service.until(lambda: job_id in service.failed, 60)
        failure = service.failed[job_id]
        assert (failure.permanent, failure.code) == (True, "rows_refused")
        assert data.refusal in failure.message


def _is_fitting(service: ControlService) -> bool:
    return any(
        check.progress > 20 and check.progress_note.startswith("fitting")
        for check in service.checks
    )


def _sha256(result: Any) -> str:
    return str(result["artifact"]["sha256"])
