"""How workers of the real program are replaced on purpose, and what becomes of their jobs."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from proto.trellis.v1 import jobs_pb2, workers_pb2
from tests.support.engine_process import EngineProcess
from tests.support.remote_world import eventually, remote_world

BODIES = ("sleep", "take_memory", "die")
JOB_TYPES = ", ".join(f"{name}: {{handler: 'tests.support.job_bodies:{name}'}}" for name in BODIES)
SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED
GRACE_S = 6.0


@contextmanager
def open_world(tmp_path: Path, *settings: str, workers: int = 2):
    settings = (
        # The scorers of the pool `serve` keep a worker for as long as they live.
        f"workers.max_python_workers={workers + 1}",
        f"workers.pools={{default: {workers}, serve: 1}}",
        f"workers.job_types={{{JOB_TYPES}}}",
        f"shutdown.grace_s={GRACE_S}",
        *settings,
    )
    with (
        EngineProcess(tmp_path / "data", settings=settings) as engine,
        remote_world(engine, tmp_path) as world,
    ):
        yield world


def workers_of(world):
    return [worker for worker in world.workers() if worker.pool == "default"]


def idle(world, workers=1):
    """Wait until so many workers have nothing to do."""

    def look():
        found = [worker for worker in workers_of(world) if worker.state == "idle"]
        return found if len(found) == workers else []

    return eventually(look, 60.0)


def ends_of(job):
    return [(attempt.cause, attempt.charged) for attempt in job.attempts]


def renew_by_signal(world):
    os.kill(world.engine.pid, signal.SIGHUP)


def renew_by_call(world):
    request = workers_pb2.RestartWorkersRequest(pool="default")
    reply = world.call("WorkerService/RestartWorkers", request, workers_pb2.RestartWorkersResponse)
    assert reply.workers == 2


@pytest.mark.parametrize("renew", [renew_by_signal, renew_by_call])
def test_a_rolling_restart_in_full_work_costs_no_job_an_attempt(tmp_path, renew):
    with open_world(tmp_path) as world:
        before = {worker.slot: worker.pid for worker in idle(world, 2)}
        ids = [world.submit("sleep", seconds=4.0) for _ in range(2)]
        eventually(lambda: {w.job_id for w in workers_of(world)} == set(ids))
        renew(world)
        ids += [world.submit("sleep", seconds=0.05) for _ in range(60)]
        eventually(lambda: all(w.pid not in {0, before[w.slot]} for w in workers_of(world)))
        for job_id in ids:
            job = world.ended(job_id)
            assert (job.state, ends_of(job)) == (SUCCEEDED, [("completed", False)])
        assert {worker.last_cause for worker in workers_of(world)} == {"recycled"}


def test_workers_are_renewed_for_their_memory_and_their_age(tmp_path):
    limits = ("memory_soft_bytes=300MiB", "memory_hard_bytes=500MiB", "recycle_after_jobs=5")
    settings = [f"workers.{limit}" for limit in limits]
    with open_world(tmp_path, *settings, workers=1) as world:
        [first] = idle(world)
        # At the end of the job.
        job = world.ended(world.submit("take_memory", mib=250))
        assert (job.state, ends_of(job)) == (SUCCEEDED, [("completed", False)])
        second = eventually(lambda: next((w for w in idle(world) if w.restarts == 1), None))
        assert (second.last_cause, second.last_job_id) == ("recycled", "")
        assert second.pid != first.pid
        # In the midst of it.
        job = world.ended(world.submit("take_memory", mib=1_500, seconds=60))
        assert job.state == jobs_pb2.JOB_STATE_DEAD
        assert ends_of(job) == [("memory", True)] * 3
        assert "take_memory" in job.attempts[0].stack
        # Now and then.
        ids = [world.submit("sleep", seconds=0.01) for _ in range(12)]
        for job_id in ids:
            assert ends_of(world.ended(job_id)) == [("completed", False)]
        pids = {world.job(job_id).attempts[0].pid for job_id in ids}
        assert len(pids) == 3


def test_a_slot_whose_workers_keep_dying_rests_and_is_tried_again(tmp_path):
    settings = ("restart_intensity=1", "park_s=2s")
    with open_world(tmp_path, *[f"workers.{setting}" for setting in settings], workers=1) as world:
        idle(world)
        poison, next_one = world.submit("die"), world.submit("sleep", seconds=0.01)
        parked = eventually(
            lambda: next((w for w in workers_of(world) if w.state == "parked"), None)
        )
        assert (parked.last_cause, parked.last_job_id) == ("died", poison)
        assert 0 < parked.starts_in_s <= 2.0
        assert ends_of(world.ended(poison)) == [("died", True)] * 3
        assert world.ended(next_one).state == SUCCEEDED


def test_on_shutdown_short_jobs_end_and_long_ones_go_on_at_the_next_start(tmp_path):
    with open_world(tmp_path) as world:
        short, long = world.submit("sleep", seconds=3), world.submit("sleep", seconds=60)
        eventually(lambda: {w.job_id for w in workers_of(world)} == {short, long}, 60.0)
        assert world.engine.stop() == 0
    with open_world(tmp_path) as world:
        job = world.job(short)
        assert (job.state, ends_of(job)) == (SUCCEEDED, [("completed", False)])
        eventually(lambda: long in {w.job_id for w in workers_of(world)}, 60.0)
        job = world.job(long)
        assert (job.attempt, ends_of(job)) == (2, [("shutdown", False)])
