"""Real workers, a real queue and a real data file, watched over by the supervisor."""

import contextlib
import functools
import os
import signal
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from engine.health import HealthBoard
from engine.jobs import Cause, Jobs, JobSpec, JobState
from engine.rpc import serve
from engine.services.worker_service import WorkerService
from engine.store import StoreSettings, open_store
from engine.workers.host import EngineAddress
from engine.workers.late_host import LateHost
from engine.workers.local_host import LocalHostSettings, open_local_host
from engine.workers.supervisor import Supervisor
from engine.workers.supervisor_settings import SupervisorSettings
from engine.workers.views import SlotState
from tests.integration.jobs.world import UnreliableClient, World
from tests.support import job_bodies
from tests.support.control_server import TOKEN, Secret
from tests.support.redis_servers import running_server
from tests.support.worker_host import is_alive, until

HANDLERS = {
    name: f"tests.support.job_bodies:{name}"
    for name, found in vars(job_bodies).items()
    if callable(found) and getattr(found, "__module__", "") == job_bodies.__name__
}
SETTINGS = SupervisorSettings(
    check_interval_s=0.1,
    check_deadline_s=1.5,
    stall_s=2.5,
    idle_stall_s=2.5,
    slots=(("any-0", None), ("any-1", None)),
)


@attrs.frozen
class Engine:
    jobs: Jobs
    supervisor: Supervisor
    world: World

    async def ended(self, job_id):
        """Wait until a job has ended."""
        with trio.fail_after(30):
            async for view in self.jobs.watch(job_id):
                last = view
        return await self.jobs.get(last.job_id)

    async def worker_of(self, job_id):
        """Wait until a worker runs a job."""
        with trio.fail_after(30):
            while True:
                for view in self.supervisor.list_workers():
                    if view.job_id == job_id and view.pid is not None:
                        return view
                await trio.sleep(0.01)


@pytest.fixture
async def engine(tmp_path):
    with running_server("redis6") as server, contextlib.closing(UnreliableClient(server)) as client:
        async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
            world = World(store, server, client)
            async with world.open() as jobs, open_engine(jobs, world, tmp_path) as engine:
                yield engine


@asynccontextmanager
async def open_engine(jobs, world, data_dir):
    host, stop = LateHost(), trio.Event()
    supervisor = Supervisor(SETTINGS, jobs, host, world.store.writer)
    start_server = functools.partial(
        serve,
        [WorkerService(supervisor, None)],  # no job here reads a file
        host="127.0.0.1",
        port=0,
        setting="server_ports.control",
        board=HealthBoard(),
        stop=stop,
        grace_s=0.0,
        bearer_token=Secret(),
        tls=None,
    )
    settings = LocalHostSettings(
        data_dir=data_dir,
        check_interval_s=0.1,
        check_deadline_s=1.5,
        handlers=HANDLERS,
        preload=("pyarrow", "engine.tasks.rpc_link"),
    )
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(start_server)
        async with open_local_host(settings, EngineAddress("127.0.0.1", bound.port, TOKEN)) as here:
            host.provide(here)
            async with trio.open_nursery() as running:
                await running.start(supervisor.run)
                yield Engine(jobs, supervisor, world)
                await supervisor.drain(2.0)
        nursery.cancel_scope.cancel()


async def test_jobs_survive_whatever_befalls_their_workers(engine):
    first = await engine.jobs.submit(JobSpec("echo", {"n": 1}))
    assert (await engine.ended(first.job_id)).state is JobState.SUCCEEDED

    # A worker that is killed: the same job again, in the same slot.
    slow = await engine.jobs.submit(JobSpec("sleep", {"seconds": 0.8}))
    victim = await engine.worker_of(slow.job_id)
    os.kill(victim.pid, signal.SIGKILL)
    ended = await engine.ended(slow.job_id)
    assert ended.state is JobState.SUCCEEDED
    assert [attempt.cause for attempt in ended.attempts] == [Cause.DIED, Cause.COMPLETED]
    (slot,) = [one for one in engine.supervisor.list_workers() if one.slot == victim.slot]
    assert slot.worker_id != victim.worker_id
    assert slot.last_end.cause is Cause.DIED

    # One that is stopped: nothing of it is left.
    slow = await engine.jobs.submit(JobSpec("sleep", {"seconds": 0.8}))
    victim = await engine.worker_of(slow.job_id)
    os.kill(victim.pid, signal.SIGSTOP)
    ended = await engine.ended(slow.job_id)
    assert [attempt.cause for attempt in ended.attempts] == [Cause.SILENT, Cause.COMPLETED]
    assert not is_alive(victim.pid)

    # A job that never makes progress is given up after its attempts, with stacks to look at.
    stuck = await engine.jobs.submit(JobSpec("loop", max_attempts=1))
    ended = await engine.ended(stuck.job_id)
    assert ended.state is JobState.DEAD
    (attempt,) = ended.attempts
    assert attempt.cause is Cause.STALLED
    assert "job_bodies.py" in attempt.stack


async def test_a_worker_that_gets_stuck_between_its_jobs_is_replaced(engine):
    """It holds no job, it checks in, and it would never have taken another one."""
    left = await engine.jobs.submit(JobSpec("stick_when_done"))
    worker = await engine.worker_of(left.job_id)
    assert (await engine.ended(left.job_id)).state is JobState.SUCCEEDED

    def slot_of_the_worker():
        (slot,) = [one for one in engine.supervisor.list_workers() if one.slot == worker.slot]
        return slot

    # The slot hears of the end after the process is gone.
    await until(lambda: slot_of_the_worker().last_end is not None)
    assert not is_alive(worker.pid)
    slot = slot_of_the_worker()
    assert slot.last_end.cause is Cause.STALLED
    assert "job_bodies.py" in slot.last_end.stack
    idle = next(one for one in engine.supervisor.list_workers() if one.slot != worker.slot)
    assert idle.restarts == 0


async def test_a_drained_worker_ends_its_job_and_its_slot_stays_empty_until_resumed(engine):
    slow = await engine.jobs.submit(JobSpec("sleep", {"seconds": 0.8}))
    busy = await engine.worker_of(slow.job_id)
    [draining] = engine.supervisor.drain_slots(slot=busy.slot)
    assert (draining.state, draining.pid) == (SlotState.DRAINING, busy.pid)
    assert (await engine.ended(slow.job_id)).state is JobState.SUCCEEDED

    def view():
        return next(one for one in engine.supervisor.list_workers() if one.slot == busy.slot)

    await until(lambda: view().state is SlotState.DRAINED)
    assert not is_alive(busy.pid)
    for _ in range(3):
        job = await engine.jobs.submit(JobSpec("echo", {"n": 1}))
        ended = await engine.ended(job.job_id)
        assert ended.state is JobState.SUCCEEDED
        assert ended.slot != busy.slot
    engine.supervisor.resume_slots(slot=busy.slot)
    await until(lambda: view().state is SlotState.IDLE)
    assert is_alive(view().pid)


async def test_starts_and_ends_of_workers_are_on_record(engine):
    job = await engine.jobs.submit(JobSpec("exit_hard", max_attempts=1))
    assert (await engine.ended(job.job_id)).state is JobState.DEAD
    with trio.fail_after(10):
        while not await engine.world.rows(  # noqa: ASYNC110 - the file tells nobody
            "SELECT 1 FROM worker_log WHERE cause = 'died'"
        ):
            await trio.sleep(0.05)
    ((detail,),) = await engine.world.rows("SELECT detail FROM worker_log WHERE cause = 'died'")
    assert detail == "exit status 0"


async def test_on_shutdown_a_job_goes_back_and_no_worker_is_left(engine):
    job = await engine.jobs.submit(JobSpec("progress"))
    worker = await engine.worker_of(job.job_id)
    await engine.supervisor.drain(0.3)
    assert not is_alive(worker.pid)
    view = await engine.jobs.get(job.job_id)
    assert view.state is JobState.QUEUED
    assert [attempt.cause for attempt in view.attempts] == [Cause.SHUTDOWN]
    assert not view.attempts[0].charged
