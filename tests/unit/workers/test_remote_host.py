"""The engine's side of a remote host in virtual time; the test is the agent."""

import signal

import pytest
import trio
import trio.testing

from engine.errors import FailedPreconditionError, StartFailedError
from engine.workers.host import ExitStatus, SpawnSpec
from engine.workers.page import PageView, Phase, encode_view
from engine.workers.remote_host import RemoteHost
from engine.workers.remote_messages import (
    CaptureStacks,
    Exited,
    Forget,
    Join,
    Kill,
    Leave,
    NotSpawned,
    Ping,
    Pong,
    Spawn,
    Spawned,
    Stacks,
    Usage,
)

DEADLINE_S = 5.0
SPEC = SpawnSpec("w1", "slot-1", "default", "trellis worker 1")
PAGE = encode_view(PageView(Phase.RUNNING, 3, 77, 12))
KILLED = ExitStatus(None, signal.SIGKILL)


class Agent:
    """One connection of an agent."""

    @classmethod
    async def connect(cls, host, nursery, *workers):
        agent = cls(host, nursery, workers)
        await trio.testing.wait_all_tasks_blocked()
        return agent

    def __init__(self, host, nursery, workers):
        self.events, received = trio.open_memory_channel(1_000)
        commands, self.commands = trio.open_memory_channel(1_000)
        join = Join("far", "default", 2, "session", workers)

        async def serve():
            async with commands, received:
                await host.serve(join, received, commands)

        nursery.start_soon(serve)

    async def expect(self, kind):
        """Return the next command but pongs."""
        with trio.fail_after(1):
            while isinstance(command := await self.commands.receive(), Pong):
                pass
        assert isinstance(command, kind)
        return command

    async def tell(self, *events):
        for event in events:
            await self.events.send(event)
        await trio.testing.wait_all_tasks_blocked()

    async def ping_for(self, seconds):
        for number in range(int(seconds)):
            await self.tell(Ping(number))
            await trio.sleep(1)

    async def start(self, host, spec=SPEC):
        """Have the host spawn a worker, and answer for it."""
        async with trio.open_nursery() as nursery:
            found = []

            async def spawn():
                found.append(await host.spawn(spec))

            nursery.start_soon(spawn)
            assert (await self.expect(Spawn)).spec == spec
            await self.tell(Spawned(spec.worker_id, 4242))
        return found[0]


@pytest.fixture
async def host():
    return RemoteHost(Join("far", "default", 2, "session"), DEADLINE_S)


async def test_worker_lives_and_ends_as_the_agent_tells(host, nursery, autojump_clock):
    agent = await Agent.connect(host, nursery)
    worker = await agent.start(host)
    assert (worker.pid, worker.host) == (4242, "far")
    await agent.tell(Usage("w1", 1_000, PAGE))
    assert worker.memory_bytes() == 1_000
    assert worker.page() == PageView(Phase.RUNNING, 3, 77, 12)
    await agent.tell(Exited("w1", ExitStatus(3, None), PAGE, ("bye",)))
    assert await worker.wait() == ExitStatus(3, None)
    assert worker.last_output() == ("bye",)
    assert (await agent.expect(Forget)).worker_id == "w1"


async def test_over_memory_is_told(host, nursery, autojump_clock):
    agent = await Agent.connect(host, nursery)
    worker = await agent.start(host)
    await agent.tell(Usage("w1", 1_000, PAGE, over_limit=True))
    assert await worker.wait_over_memory() == 1_000


async def test_refused_spawn_fails_with_the_agents_reason(host, nursery, autojump_clock):
    agent = await Agent.connect(host, nursery)
    nursery.start_soon(agent.tell, NotSpawned("w1", "no memory"))
    with pytest.raises(StartFailedError, match="no memory"):
        await host.spawn(SPEC)


async def test_spawn_without_an_answer_fails_and_what_may_come_of_it_is_killed(
    host, nursery, autojump_clock
):
    agent = await Agent.connect(host, nursery)
    with pytest.raises(StartFailedError, match="did not answer"):
        await host.spawn(SPEC)
    await agent.expect(Spawn)
    assert (await agent.expect(Kill)).worker_id == "w1"
    await agent.tell(Spawned("w1", 1))
    assert (await agent.expect(Kill)).worker_id == "w1"


async def test_stacks_come_from_the_agent_or_are_explained(host, nursery, autojump_clock):
    agent = await Agent.connect(host, nursery)
    worker = await agent.start(host)

    async def answer():
        request = await agent.expect(CaptureStacks)
        await agent.tell(Stacks(request.request, "w1", "in sleep"))

    nursery.start_soon(answer)
    assert await worker.capture_stacks() == "in sleep"
    assert "did not answer" in await worker.capture_stacks()


async def test_silent_host_is_lost_and_its_workers_dead_only_when_they_must_be(
    host, nursery, autojump_clock
):
    agent = await Agent.connect(host, nursery)
    nursery.start_soon(host.run)
    worker = await agent.start(host)
    await agent.ping_for(10)
    last_answer = trio.current_time() - 1
    await host.lost.wait()
    assert trio.current_time() == pytest.approx(last_answer + DEADLINE_S)
    assert not worker.ended
    assert await worker.wait() == KILLED
    assert trio.current_time() >= last_answer + 2 * DEADLINE_S + 1


async def test_lost_host_is_answered_nothing_more(host, nursery, autojump_clock):
    await Agent.connect(host, nursery)
    assert "not heard from" in await host.run()
    received, _ = trio.open_memory_channel(1)
    with pytest.raises(FailedPreconditionError):
        await host.serve(Join("far", "default", 2, "session"), received, received)
    with pytest.raises(StartFailedError):
        await host.spawn(SPEC)


async def test_agent_that_leaves_is_gone_when_its_workers_are(host, nursery, autojump_clock):
    agent = await Agent.connect(host, nursery)
    nursery.start_soon(host.run)
    worker = await agent.start(host)
    await agent.tell(Leave())
    assert host.lost.is_set()
    assert host.lost_because == "it left"
    assert not worker.ended
    await agent.tell(Exited("w1", KILLED, PAGE, ("bye",)))
    assert worker.ended
    assert worker.last_output() == ("bye",)
    assert trio.current_time() < 1


async def test_agent_that_leaves_and_falls_silent_may_not_keep_its_workers(
    host, nursery, autojump_clock
):
    agent = await Agent.connect(host, nursery)
    nursery.start_soon(host.run)
    worker = await agent.start(host)
    await agent.tell(Leave(), Ping(1))
    with pytest.raises(trio.WouldBlock):
        agent.commands.receive_nowait()
    assert await worker.wait() == KILLED
    assert trio.current_time() >= DEADLINE_S + 1


async def test_spawn_on_a_host_that_leaves_fails_at_once(host, nursery, autojump_clock):
    agent = await Agent.connect(host, nursery)
    nursery.start_soon(host.run)
    nursery.start_soon(agent.tell, Leave())
    with pytest.raises(StartFailedError):
        await host.spawn(SPEC)
    assert trio.current_time() < 1


async def test_worker_survives_a_lost_connection(host, nursery, autojump_clock):
    first = await Agent.connect(host, nursery)
    worker = await first.start(host)
    first.events.close()
    await trio.testing.wait_all_tasks_blocked()
    assert "out of reach" in await worker.capture_stacks()
    second = await Agent.connect(host, nursery, "w1")
    await second.tell(Usage("w1", 5, PAGE))
    assert worker.memory_bytes() == 5
    await second.tell(Exited("w1", ExitStatus(0, None), PAGE, ()))
    assert worker.ended


async def test_after_a_reconnection_both_agree_on_what_runs(host, nursery, autojump_clock):
    first = await Agent.connect(host, nursery)
    forgotten = await first.start(host, SpawnSpec("w1", "slot-1", "default", "t"))
    doomed = await first.start(host, SpawnSpec("w2", "slot-2", "default", "t"))
    first.events.close()
    await trio.testing.wait_all_tasks_blocked()
    with trio.move_on_after(0.1):
        await doomed.kill()
    second = await Agent.connect(host, nursery, "w2", "unknown")
    await trio.testing.wait_all_tasks_blocked()
    assert forgotten.ended
    killed = {(await second.expect(Kill)).worker_id for _ in range(2)}
    assert killed == {"w2", "unknown"}


async def test_new_connection_replaces_one_that_is_not_known_to_be_dead(
    host, nursery, autojump_clock
):
    first = await Agent.connect(host, nursery)
    second = await Agent.connect(host, nursery)
    with pytest.raises(trio.BrokenResourceError):
        await first.events.send(Ping(1))
    await second.start(host)


async def test_agent_that_does_not_read_loses_its_connection(host, autojump_clock):
    commands, unread = trio.open_memory_channel(1)
    events, received = trio.open_memory_channel(10)
    async with commands, unread, events, received, trio.open_nursery() as nursery:
        nursery.start_soon(host.serve, Join("far", "default", 2, "session"), received, commands)
        for number in range(3):
            await events.send(Ping(number))
