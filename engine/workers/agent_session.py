"""An agent's side of a session with the engine: does as told, and tells what happens.

A session outlives its connections, if another follows within the lease. When the lease ends the
agent kills its workers, without asking anybody: the engine counts on it.
"""

import logging
import time
from collections.abc import AsyncIterator
from typing import Final

import attrs
import trio

from engine.errors import StartFailedError
from engine.workers.host import SpawnSpec
from engine.workers.local_host import LocalHost
from engine.workers.page import encode_view
from engine.workers.process import LocalWorker
from engine.workers.remote_messages import (
    CaptureStacks,
    Command,
    Event,
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
    Welcome,
)

logger = logging.getLogger(__name__)

_USAGE_INTERVAL_S: Final = 0.25
_WATCH_INTERVAL_S: Final = 0.1
_PINGS_REMEMBERED: Final = 100


def read_lease_clock() -> float:
    """Return a time in seconds that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class AgentSession:
    """One session; `keep_lease` tells when it is over."""

    def __init__(
        self, host: LocalHost, join: Join, deadline_s: float, nursery: trio.Nursery
    ) -> None:
        """Begin a session.

        Args:
          host: where workers run.
          join: how the agent joined, a moment ago.
          deadline_s: the lease.
          nursery: for tasks of the session, which go on between connections.
        """
        self._host = host
        self._join = join
        self._deadline_s = deadline_s
        self._nursery = nursery
        self._starting: set[str] = set()
        self._workers: dict[str, LocalWorker] = {}
        self._exited: dict[str, Exited] = {}
        self._killed_early: set[str] = set()
        self._events: trio.MemorySendChannel[Event] | None = None
        self._conversation = trio.CancelScope()
        self._conversation_over = trio.Event()
        self.is_leaving = False
        self._pings = 0
        self._pinged_at: dict[int, float] = {}
        self._lease_from = read_lease_clock()

    @property
    def join(self) -> Join:
        """The first message for another connection."""
        workers = (*self._starting, *self._workers, *self._exited)
        return attrs.evolve(self._join, workers=workers, resumed=True)

    async def keep_lease(self) -> None:
        """Return when the lease has ended.

        Cancellation: a checkpoint.
        """
        # Not one long sleep: it would not count the time of a suspended machine.
        while read_lease_clock() - self._lease_from < self._deadline_s:  # noqa: ASYNC110
            await trio.sleep(_WATCH_INTERVAL_S)
        logger.warning("no contact with the engine", extra={"for_s": self._deadline_s})

    async def converse(
        self,
        commands: AsyncIterator[Command],
        events: trio.MemorySendChannel[Event],
        ping_interval_s: float,
    ) -> None:
        """Use one connection until it ends.

        Args:
          commands: what the engine sends, its welcome read already.
          events: what the engine is to be sent, `join` sent already; bounded. One that fills up
            ends the conversation.
        """
        with trio.CancelScope() as self._conversation:
            self._events = events
            self._conversation_over = trio.Event()
            try:
                for worker in self._workers.values():
                    self._tell(Spawned(worker.worker_id, worker.pid))
                for exited in self._exited.values():
                    self._tell(exited)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._ping, ping_interval_s)
                    nursery.start_soon(self._tell_usage)
                    async for command in commands:
                        self._do(command)
                    nursery.cancel_scope.cancel()
            finally:
                self._events = None
                self._conversation_over.set()

    async def leave(self) -> None:
        """Kill all workers, tell the engine, and wait until it has heard it and hangs up.

        Without a connection nobody is told.

        Cancellation: a checkpoint; the workers die all the same.
        """
        self.is_leaving = True
        # First of all: what ends from here on is not held against any job.
        self._tell(Leave())
        self._host.kill_all()
        for worker in [*self._workers.values()]:
            await worker.wait()
        # The tasks that tell of their ends are to run first.
        await trio.lowlevel.checkpoint()
        events, self._events = self._events, None
        if events is not None:
            events.close()
            await self._conversation_over.wait()

    def _do(self, command: Command) -> None:
        match command:
            case Pong():
                sent_at = self._pinged_at.pop(command.number, None)
                if sent_at is not None:
                    self._lease_from = max(self._lease_from, sent_at)
            case Spawn():
                known = self._starting | self._workers.keys() | self._exited.keys()
                if command.spec.worker_id not in known:
                    self._starting.add(command.spec.worker_id)
                    self._nursery.start_soon(self._spawn, command.spec)
            case Kill():
                self._kill(command.worker_id)
            case CaptureStacks():
                self._nursery.start_soon(self._capture_stacks, command)
            case Forget():
                self._exited.pop(command.worker_id, None)
                self._killed_early.discard(command.worker_id)
            case Welcome():
                pass

    async def _spawn(self, spec: SpawnSpec) -> None:
        try:
            worker = await self._host.spawn(spec)
        except StartFailedError as error:
            self._starting.discard(spec.worker_id)
            self._killed_early.discard(spec.worker_id)
            self._tell(NotSpawned(spec.worker_id, str(error)))
            return
        self._starting.discard(spec.worker_id)
        self._workers[spec.worker_id] = worker
        if spec.worker_id in self._killed_early:
            worker.kill_nowait()
        self._tell(Spawned(spec.worker_id, worker.pid))
        status = await worker.wait()
        exited = Exited(spec.worker_id, status, encode_view(worker.page()), worker.last_output())
        del self._workers[spec.worker_id]
        self._exited[spec.worker_id] = exited
        self._tell(exited)

    def _kill(self, worker_id: str) -> None:
        worker = self._workers.get(worker_id)
        if worker is not None:
            worker.kill_nowait()
        elif worker_id in self._starting:
            self._killed_early.add(worker_id)

    async def _capture_stacks(self, command: CaptureStacks) -> None:
        worker = self._workers.get(command.worker_id)
        if worker is None:
            text = "no stacks: the process has ended"
        else:
            text = await worker.capture_stacks(command.timeout_s)
        self._tell(Stacks(command.request, command.worker_id, text))

    async def _ping(self, interval_s: float) -> None:
        while True:
            self._pings += 1
            self._pinged_at[self._pings] = read_lease_clock()
            self._pinged_at.pop(self._pings - _PINGS_REMEMBERED, None)
            self._tell(Ping(self._pings))
            await trio.sleep(interval_s)

    async def _tell_usage(self) -> None:
        while True:
            for worker in self._workers.values():
                self._tell(_usage_of(worker))
            await trio.sleep(_USAGE_INTERVAL_S)

    def _tell(self, event: Event) -> None:
        if self._events is None:
            return
        try:
            self._events.send_nowait(event)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self._conversation.cancel()


def _usage_of(worker: LocalWorker) -> Usage:
    return Usage(
        worker.worker_id,
        worker.memory_bytes() or 0,
        encode_view(worker.page()),
        over_limit=worker.over_memory,
    )
