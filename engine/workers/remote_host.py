"""Another machine that runs workers for this engine, as the engine sees it.

Its agent holds a lease: it pings, and what the engine answers lets its workers live for
`check_deadline_s` from when the ping was *sent*, on the agent's clock. An answer that was long on
the way extends nothing. So the engine, which hears a ping after it was sent, knows when all workers
are dead even if it hears nothing more: that long, and the time a kill takes, after the last answer
it gave to the agent or to one of the workers' own checks.
"""

import logging
import signal
from collections.abc import AsyncIterator, Iterable
from typing import Final

import attrs
import trio

from engine.errors import FailedPreconditionError, StartFailedError
from engine.workers.host import ExitStatus, SpawnSpec
from engine.workers.remote_messages import (
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
)
from engine.workers.remote_worker import RemoteWorker

logger = logging.getLogger(__name__)

_SPAWN_S: Final = 30.0
_KILL_MARGIN_S: Final = 1.5
"""From the end of a lease to the death of the last worker, with what clocks differ in speed."""

_PRESUMED: Final = ExitStatus(code=None, signal=signal.SIGKILL)


@attrs.define
class _Spawning:
    """A request to spawn and what came of it."""

    spec: SpawnSpec
    answered: trio.Event = attrs.field(factory=trio.Event)
    pid: int | None = None
    refused: bool = False
    problem: str = "the host was lost"


class RemoteHost:
    """A `Host` on another machine, for one session of its agent.

    Somebody runs `run`, and `serve` for each of the agent's connections.
    """

    def __init__(self, join: Join, deadline_s: float) -> None:
        """Begin a session.

        Args:
          deadline_s: the lease of the agent and of its workers.
        """
        self.name = join.host
        self.session = join.session
        self.lost = trio.Event()
        """Set when the session is over. From then on no check of its workers may be answered with
        anything but that they have been given up."""
        self.lost_because = ""
        self._deadline_s = deadline_s
        self._answered_at = trio.current_time()
        self._left = trio.Event()
        self._workers: dict[str, RemoteWorker] = {}
        self._spawning: dict[str, _Spawning] = {}
        self._commands: trio.MemorySendChannel[Command] | None = None
        self._conversation = trio.CancelScope()

    async def run(self) -> str:
        """Return why the session is over, once it is and all its workers are dead for certain.

        Cancellation: a checkpoint; the session is over, its workers may not be.
        """
        try:
            await self._wait_until_over()
            if self._left.is_set():
                logger.info("host leaves", extra={"host": self.name})
            else:
                logger.warning("host not heard from", extra={"host": self.name})
                self._lose("it was not heard from")
                self._conversation.cancel()
            # Of one that leaves, each worker's end is still being told.
            with trio.move_on_after(self._deadline_s + _KILL_MARGIN_S):
                for worker in [*self._workers.values()]:
                    await worker.wait()
            for worker in self._workers.values():
                worker.presume_dead(_PRESUMED)
        finally:
            self._lose("the engine stops")
            self._conversation.cancel()
        return self.lost_because

    def _lose(self, reason: str) -> None:
        self.lost_because = self.lost_because or reason
        self.lost.set()
        for spawning in self._spawning.values():
            spawning.answered.set()

    async def spawn(self, spec: SpawnSpec) -> RemoteWorker:
        """Start a worker there. As `Host.spawn`; outlasts a lost connection."""
        if self.lost.is_set():
            raise StartFailedError(f"host {self.name} is lost: {self.lost_because}")
        spawning = self._spawning[spec.worker_id] = _Spawning(spec)
        try:
            # Without a connection, the next one will begin with it.
            self._send(Spawn(spec))
            with trio.move_on_after(_SPAWN_S) as patience:
                await spawning.answered.wait()
        finally:
            del self._spawning[spec.worker_id]
            if spawning.pid is None and not spawning.refused:
                # There may be one all the same, if its answer was lost or comes later.
                self._send(Kill(spec.worker_id))
        if patience.cancelled_caught:
            raise StartFailedError(f"host {self.name} did not answer within {_SPAWN_S:g} s")
        if spawning.pid is None:
            raise StartFailedError(f"host {self.name} started no worker: {spawning.problem}")
        return self._workers[spec.worker_id]

    def require_open(self) -> None:
        """Raise FailedPreconditionError if the session is over."""
        if self.lost.is_set():
            raise FailedPreconditionError(
                f"session {self.session} is over ({self.lost_because}); join with another"
            )

    async def serve(
        self,
        join: Join,
        events: AsyncIterator[Event],
        commands: trio.MemorySendChannel[Command],
    ) -> None:
        """Converse with the agent over one connection until that ends.

        Args:
          join: the first message, already read.
          events: what follows it.
          commands: bounded; closed by the caller. One that fills up ends the conversation.
        Raises:
          FailedPreconditionError: the session is over; the agent has to begin another.
        """
        self.require_open()
        # An older connection that has not been noticed to be dead.
        self._conversation.cancel()
        with trio.CancelScope() as self._conversation:
            self._commands = commands
            try:
                self._reconcile(join.workers)
                async for event in events:
                    self._take(event)
            finally:
                if self._commands is commands:
                    self._commands = None

    def _reconcile(self, there: Iterable[str]) -> None:
        """Bring together what is said to run there and what should."""
        running = set(there)
        for worker_id, worker in self._workers.items():
            if worker_id not in running:
                worker.presume_dead(_PRESUMED)
            elif worker.to_be_killed:
                self._send(Kill(worker_id))
        for worker_id in running - self._workers.keys() - self._spawning.keys():
            self._send(Kill(worker_id))
        for worker_id, spawning in self._spawning.items():
            if worker_id not in running:
                self._send(Spawn(spawning.spec))

    def _take(self, event: Event) -> None:
        match event:
            case Ping():
                # From the end of the session on, nothing lets its workers live longer.
                if not self.lost.is_set():
                    self._answered_at = trio.current_time()
                    self._send(Pong(event.number))
            case Leave():
                self._left.set()
                self._lose("it left")
            case Spawned():
                self._take_spawned(event)
            case NotSpawned():
                spawning = self._spawning.get(event.worker_id)
                if spawning is not None:
                    spawning.refused = True
                    spawning.problem = event.detail
                    spawning.answered.set()
            case Exited():
                if event.worker_id in self._workers:
                    self._workers.pop(event.worker_id).take_exit(event)
                self._send(Forget(event.worker_id))
            case Usage():
                if event.worker_id in self._workers:
                    self._workers[event.worker_id].take_usage(event)
            case Stacks():
                if event.worker_id in self._workers:
                    self._workers[event.worker_id].take_stacks(event.request, event.text)
            case Join():
                pass

    def _take_spawned(self, event: Spawned) -> None:
        if event.worker_id in self._workers:
            return
        spawning = self._spawning.get(event.worker_id)
        if spawning is None:
            self._send(Kill(event.worker_id))
            return
        spawning.pid = event.pid
        self._workers[event.worker_id] = RemoteWorker(
            event.worker_id, event.pid, self.name, self._send
        )
        spawning.answered.set()

    def _send(self, command: Command) -> bool:
        if self._commands is None:
            return False
        try:
            self._commands.send_nowait(command)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self._conversation.cancel()
            return False
        return True

    async def _wait_until_over(self) -> None:
        """Return when the agent has left, or not pinged for the length of its lease."""
        while not self._left.is_set():
            patience_s = self._answered_at + self._deadline_s - trio.current_time()
            if patience_s <= 0:
                return
            with trio.move_on_after(patience_s):
                await self._left.wait()
