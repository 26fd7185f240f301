"""An agent that joins an engine over gRPC, and what becomes of its workers when they part."""

import signal
import subprocess
import sys

import attrs
import pytest
import trio

from engine.errors import FailedPreconditionError
from engine.workers.host import ExitStatus, SpawnSpec
from engine.workers.host_agent import AgentSettings, run_host_agent
from engine.workers.page import Phase
from tests.support.control_server import open_control
from tests.support.engine_process import ROOT
from tests.support.worker_host import is_alive, until

SPEC = SpawnSpec("far-1", "slot-1", "default", "trellis worker 1")
KILLED = ExitStatus(None, signal.SIGKILL)


def settings_for(address, tmp_path):
    return AgentSettings(
        engine=address,
        name="far",
        pool="default",
        workers=2,
        data_dir=tmp_path,
        preload=("engine.tasks.rpc_link",),
    )


async def joined(service, number=1):
    """Wait for a session; return its host."""
    await service.until(lambda: len(service.hosts) >= number)
    return list(service.hosts.values())[-1]


async def test_worker_there_does_jobs_of_this_engine(tmp_path, nursery):
    stop = trio.Event()
    async with open_control() as (service, address):
        service.welcome = attrs.evolve(
            service.welcome, handlers={"echo": "tests.support.job_bodies:echo"}
        )
        nursery.start_soon(run_host_agent, settings_for(address, tmp_path), stop)
        host = await joined(service)
        worker = await host.spawn(SPEC)
        job_id = service.add("echo", x=1)
        await service.until(lambda: job_id in service.completed)
        assert service.completed[job_id]["pid"] == worker.pid
        await until(lambda: worker.page().phase is Phase.IDLE and worker.memory_bytes())
        assert "runtime.py" in await worker.capture_stacks(1.0)
        assert await worker.kill() == KILLED
        again = await host.spawn(attrs.evolve(SPEC, worker_id="far-2"))
        stop.set()
        assert await again.wait() == KILLED
        await host.lost.wait()
        assert host.lost_because == "it left"


async def test_agent_with_a_wrong_token_gives_up(tmp_path):
    async with open_control() as (_, address):
        wrong = settings_for(attrs.evolve(address, token="guess"), tmp_path)
        with pytest.raises(FailedPreconditionError, match="refuses this host"):
            await run_host_agent(wrong, trio.Event())


async def test_agent_kills_its_workers_without_contact_and_joins_again(tmp_path, nursery):
    stop = trio.Event()
    async with open_control() as (service, address):
        nursery.start_soon(run_host_agent, settings_for(address, tmp_path), stop)
        host = await joined(service)
        worker = await host.spawn(SPEC)
        await until(lambda: worker.page().phase is Phase.IDLE)
    # The engine is gone, without a word to the agent.
    away = trio.current_time()
    await until(lambda: not is_alive(worker.pid))
    assert trio.current_time() - away < 2.5
    async with open_control(address.port) as (service, _):
        host = await joined(service)
        again = await host.spawn(attrs.evolve(SPEC, worker_id="far-2"))
        await service.until(lambda: any(c.worker_id == "far-2" for c in service.checks))
        stop.set()
        await again.wait()


async def test_stopped_agent_is_lost_and_its_workers_leave_by_themselves(tmp_path):
    async with open_control() as (service, address):
        command = [sys.executable, "-m", "tests.support.lone_agent"]
        arguments = [str(address.port), address.token, str(tmp_path)]
        agent = subprocess.Popen([*command, *arguments], cwd=ROOT)  # noqa: ASYNC220
        with agent:
            try:
                host = await joined(service)
                worker = await host.spawn(SPEC)
                await until(lambda: worker.page().phase is Phase.IDLE)
                agent.send_signal(signal.SIGSTOP)
                service.silent = True
                await host.lost.wait()
                assert await worker.wait() == KILLED
                assert not is_alive(worker.pid)
            finally:
                agent.kill()
