"""Both sides of a remote host with real workers, joined by channels that can be cut."""

import os
import signal
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from engine.workers.agent_session import AgentSession
from engine.workers.host import ExitStatus, SpawnSpec
from engine.workers.page import Phase
from engine.workers.remote_host import RemoteHost
from engine.workers.remote_messages import Join
from tests.support.worker_host import is_alive, open_test_host, until

KILLED = ExitStatus(None, signal.SIGKILL)


class World:
    """An engine's remote host, an agent with its own, and a wire that can be cut and mended."""

    def __init__(self, local, session, remote, nursery):
        self.local = local
        self.session = session
        self.remote = remote
        self.nursery = nursery
        self._wire = trio.CancelScope()

    async def connect(self):
        with trio.CancelScope() as self._wire:
            to_engine, events = trio.open_memory_channel(100)
            to_agent, commands = trio.open_memory_channel(100)
            async with to_engine, events, to_agent, commands, trio.open_nursery() as nursery:
                nursery.start_soon(self.remote.serve, self.session.join, events, to_agent)
                nursery.start_soon(self.session.converse, commands, to_engine, 0.05)

    async def mend(self):
        self.nursery.start_soon(self.connect)
        await trio.testing.wait_all_tasks_blocked(0.01)

    def cut(self):
        self._wire.cancel()

    async def spawn(self, body):
        worker = await self.remote.spawn(SpawnSpec(f"far-{body}", "slot-1", body, "worker"))
        await until(lambda: worker.page().phase is Phase.RUNNING or worker.ended)
        return worker


@asynccontextmanager
async def open_world(tmp_path, deadline_s=5.0):
    async with open_test_host(tmp_path, name="far") as local, trio.open_nursery() as nursery:
        join = Join("far", "default", 2, "session")
        session = AgentSession(local, join, deadline_s, nursery)
        remote = RemoteHost(join, deadline_s)
        world = World(local, session, remote, nursery)
        nursery.start_soon(remote.run)
        await world.mend()
        yield world
        nursery.cancel_scope.cancel()


async def test_worker_there_is_watched_as_one_here(tmp_path):
    async with open_world(tmp_path) as world:
        worker = await world.spawn("sleep")
        assert is_alive(worker.pid)
        assert "in _sleep" in await worker.capture_stacks(1.0)
        await until(worker.memory_bytes)
        assert await worker.kill() == KILLED
        assert not is_alive(worker.pid)
        failing = await world.spawn("fail:no luck")
        assert (await failing.wait()).code == 70
        assert failing.last_output()[-1] == "RuntimeError: no luck"
        assert failing.page().running is not None


async def test_end_during_a_lost_connection_is_told_after_it(tmp_path):
    async with open_world(tmp_path) as world:
        worker = await world.spawn("sleep")
        world.cut()
        os.kill(worker.pid, signal.SIGSEGV)
        await until(lambda: not is_alive(worker.pid))
        assert not worker.ended
        await world.mend()
        assert await worker.wait() == ExitStatus(None, signal.SIGSEGV)


async def test_kill_during_a_lost_connection_is_done_after_it(tmp_path):
    async with open_world(tmp_path) as world:
        worker = await world.spawn("sleep")
        world.cut()
        world.nursery.start_soon(worker.kill)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert is_alive(worker.pid)
        await world.mend()
        assert await worker.wait() == KILLED
        assert not is_alive(worker.pid)


async def test_lease_ends_without_contact_and_not_while_there_is_some(tmp_path):
    async with open_world(tmp_path, deadline_s=0.5) as world:
        began = trio.current_time()
        with trio.move_on_after(1.0):
            await world.session.keep_lease()
            pytest.fail("the lease ended in spite of contact")
        world.cut()
        cut = trio.current_time()
        with trio.fail_after(2):
            await world.session.keep_lease()
        assert cut - began > 0.9
        assert 0.3 < trio.current_time() - cut < 0.9


async def test_workers_are_dead_here_before_they_are_presumed_dead_there(tmp_path):
    async with open_world(tmp_path, deadline_s=0.3) as world:
        worker = await world.spawn("sleep")
        world.cut()
        await world.session.keep_lease()
        world.local.kill_all()
        await until(lambda: not is_alive(worker.pid))
        assert not worker.ended
        assert await worker.wait() == KILLED
        assert world.remote.lost.is_set()
