"""A worker of another machine, as the engine sees it."""

from collections.abc import Callable
from typing import Final

import trio

from engine.workers.host import ExitStatus
from engine.workers.page import PageView, Phase, decode_view
from engine.workers.remote_messages import CaptureStacks, Command, Exited, Kill, Usage

_JOURNEY_S: Final = 1.0
"""What a request and its answer may take on the way, beyond the work itself."""


class RemoteWorker:
    """A `WorkerProcess` that another machine's agent attends to; its `RemoteHost` makes it."""

    def __init__(
        self, worker_id: str, pid: int, host: str, send: Callable[[Command], bool]
    ) -> None:
        """Take note of a worker.

        Args:
          send: sends to the agent; returns False when there is no connection.
        """
        self.worker_id = worker_id
        self.pid = pid
        self.host = host
        self._send = send
        self._view = PageView(Phase.STARTING, 0, None, 0)
        self._memory_bytes: int | None = None
        self._over_memory = trio.Event()
        self._last_output: tuple[str, ...] = ()
        self._status: ExitStatus | None = None
        self._ended = trio.Event()
        self._answers: dict[int, str] = {}
        self._answered = trio.Event()
        self._requests = 0
        self.to_be_killed = False

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    async def wait(self) -> ExitStatus:
        """Return how it ended. As `WorkerProcess.wait`.

        When its host is lost, it returns once the worker must be dead.
        """
        await self._ended.wait()
        assert self._status is not None
        return self._status

    async def kill(self) -> ExitStatus:
        """Have it killed and wait. As `WorkerProcess.kill`."""
        self.to_be_killed = True
        if not self.ended:
            self._send(Kill(self.worker_id))
        return await self.wait()

    async def capture_stacks(self, timeout_s: float = 0.2) -> str:
        """Return the stacks of all threads. As `WorkerProcess.capture_stacks`."""
        self._requests += 1
        number = self._requests
        if self.ended or not self._send(CaptureStacks(number, self.worker_id, timeout_s)):
            await trio.lowlevel.checkpoint()
            reason = "process has ended" if self.ended else f"host {self.host} is out of reach"
            return f"no stacks: the {reason}"
        with trio.move_on_after(timeout_s + _JOURNEY_S):
            while number not in self._answers:
                await self._answered.wait()
        unanswered = f"no stacks: host {self.host} did not answer in time"
        return self._answers.pop(number, unanswered)

    async def wait_over_memory(self) -> int:
        """Return the bytes in use once they are over the limit."""
        await self._over_memory.wait()
        assert self._memory_bytes is not None
        return self._memory_bytes

    def memory_bytes(self) -> int | None:
        """Return what was in use when the host last told."""
        return self._memory_bytes

    def page(self) -> PageView:
        """Return what the worker shared when the host last told."""
        return self._view

    def last_output(self) -> tuple[str, ...]:
        """Return its last lines of output; empty until it has ended."""
        return self._last_output

    def take_stacks(self, number: int, text: str) -> None:
        """Take the answer to a request."""
        if number == self._requests:  # others have given up waiting
            self._answers[number] = text
        self._answered.set()
        self._answered = trio.Event()

    def take_usage(self, usage: Usage) -> None:
        """Take what the host tells now and then."""
        self._memory_bytes = usage.memory_bytes
        self._view = decode_view(usage.page)
        if usage.over_limit:
            self._over_memory.set()

    def take_exit(self, exited: Exited) -> None:
        """Take its end; a repeated one changes nothing."""
        if not self.ended:
            self._view = decode_view(exited.page)
            self._last_output = exited.last_output
            self._status = exited.status
            self._ended.set()

    def presume_dead(self, status: ExitStatus) -> None:
        """Take its end for granted: its host is gone, or does not know it."""
        if not self.ended:
            self._status = status
            self._ended.set()
