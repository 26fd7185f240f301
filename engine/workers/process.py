"""A worker process of this machine, from the fork until nothing is left of it."""

import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from engine import metrics
from engine.workers.host import ExitStatus, SpawnSpec
from engine.workers.memory import read_memory
from engine.workers.output import ProcessOutput
from engine.workers.page import PageReader, PageView
from engine.workers.proctable import Identity, descendants_of, identities_of, read_stat
from engine.workers.stacks import StackReader

logger = logging.getLogger(__name__)

_ADOPTION_POLL_S: Final = 0.001
_UNKILLABLE_S: Final = 5.0  # freeing much memory, part of it swapped out, takes its time
_SWEEP_POLL_S: Final = 0.02
_SWEEP_S: Final = 1.0
_LAST_WORDS_S: Final = 0.2  # output ends with the process, unless something unseen holds the pipe

_LINGERING: Final = ExitStatus(code=None, signal=signal.SIGKILL, lingers=True)

ClearStrays = Callable[[frozenset[Identity]], Awaitable[None]]


class LocalWorker:
    """A `WorkerProcess` of this machine.

    Its host runs `attend` from the beginning; all else may be called at any time, also when
    nothing is left of the process.
    """

    def __init__(
        self,
        spec: SpawnSpec,
        *,
        host: str,
        pid: int,
        pidfd: int,
        output_fd: int,
        stacks_fd: int,
        page: PageReader,
        memory_hard_bytes: int | None,
    ) -> None:
        """Take the process over; the descriptors and the page are closed when it is reaped."""
        self.worker_id = spec.worker_id
        self.pid = pid
        self.host = host
        self._pidfd = pidfd
        self._output_fd = output_fd
        self._stacks_fd = stacks_fd
        self._page = page
        self._last_page: PageView | None = None
        self._memory_hard_bytes = memory_hard_bytes
        self._memory_bytes: int | None = None
        self._over_memory = trio.Event()
        self._descendants: frozenset[Identity] = frozenset()
        self._facts = {"worker": spec.worker_id, "slot": spec.slot, "pid": pid}
        self._output = ProcessOutput("worker output", self._facts)
        self._stacks = StackReader(pid, pidfd, stacks_fd)
        self._killed = trio.Event()
        self._reaped = False
        self._status: ExitStatus | None = None
        self._ended = trio.Event()
        self._attending = trio.CancelScope(shield=True)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    @property
    def lingers(self) -> bool:
        """Whether it was killed and the kernel holds it back; not any more once it is reaped."""
        return self.ended and not self._reaped

    @property
    def over_memory(self) -> bool:
        """Whether it has been over its limit."""
        return self._over_memory.is_set()

    async def wait(self) -> ExitStatus:
        """Return how it ended, once nothing is left of it. As `WorkerProcess.wait`."""
        await self._ended.wait()
        assert self._status is not None
        return self._status

    async def kill(self) -> ExitStatus:
        """Kill it and wait. As `WorkerProcess.kill`."""
        self.kill_nowait()
        return await self.wait()

    def kill_nowait(self) -> None:
        """Kill the process and its group; `attend` sees to the rest."""
        if self._reaped:
            return
        self._killed.set()
        self._note_descendants(identities_of(descendants_of(self.pid)))
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._kill_group()

    async def capture_stacks(self, timeout_s: float = 0.2) -> str:
        """Return the stacks of all threads. As `WorkerProcess.capture_stacks`."""
        if self._reaped:
            await trio.lowlevel.checkpoint()
            return "no stacks: the process has ended"
        return await self._stacks.capture(timeout_s)

    async def wait_over_memory(self) -> int:
        """Return the bytes in use once they are over the limit."""
        await self._over_memory.wait()
        assert self._memory_bytes is not None
        return self._memory_bytes

    def memory_bytes(self) -> int | None:
        """Return what was in use at the last look."""
        return self._memory_bytes

    def look_at_memory(self) -> None:
        """Take a look at the memory in use, and at who uses it."""
        reading = None if self._reaped else read_memory(self.pid, self._memory_hard_bytes)
        if reading is None:
            return
        self._memory_bytes = reading.used_bytes
        self._note_descendants(reading.descendants)
        limit = self._memory_hard_bytes
        if limit is not None and reading.used_bytes > limit:
            self._over_memory.set()

    def page(self) -> PageView:
        """Return what the worker shares."""
        return self._page.read() if self._last_page is None else self._last_page

    def last_output(self) -> tuple[str, ...]:
        """Return its last lines of output."""
        return self._output.last_lines

    def abandon(self) -> None:
        """Stop attending to a process that lingers; for the end of the host."""
        self._attending.cancel()

    async def attend(self, clear_strays: ClearStrays, forget: Callable[[int], None]) -> None:
        """Read its output, wait for its end, and end and reap all that is left of it.

        Args:
          clear_strays: kills what fell to this process when the worker died.
          forget: is told the number at the moment from which it may be another process'.
        Cancellation: none until the worker is dead, as somebody has to reap it.
        """
        reading = trio.CancelScope()
        status = _LINGERING
        with self._attending:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_output, reading)
                await self._wait_dead()
                status = self._look_at_status()
                # Until it is reaped, no other process or group can be given its number.
                self._kill_group()
                await clear_strays(self._descendants)
                os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)  # noqa: ASYNC222 - it has ended
                self._reaped = True
                forget(self.pid)
                reading.deadline = trio.current_time() + _LAST_WORDS_S
        if not self._reaped:
            self._reaped = True
            forget(self.pid)
        self._end(status)
        self._page.close()
        self._stacks.close()
        os.close(self._stacks_fd)
        os.close(self._pidfd)

    async def _wait_dead(self) -> None:
        """Wait until the process is dead and this one's to reap."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_if_it_lingers)
            await trio.lowlevel.wait_readable(self._pidfd)
            await self._wait_adopted()
            nursery.cancel_scope.cancel()
        if self.ended:
            logger.warning("worker is gone in the end", extra=self._facts)
            metrics.WORKERS_LINGERING.dec()

    async def _tell_if_it_lingers(self) -> None:
        """Declare the process ended some time after it was killed.

        From the signal on, the kernel lets it return to its own code no more.
        """
        await self._killed.wait()
        await trio.sleep(_UNKILLABLE_S)
        await self._kill_descendants()
        stat = read_stat(self.pid)
        state = "gone" if stat is None else stat.describe()
        logger.error("worker cannot be killed", extra={**self._facts, "state": state})
        metrics.WORKERS_LINGERING.inc()
        self._end(_LINGERING)

    async def _kill_descendants(self) -> None:
        """Kill what it has forked: nobody adopts that for as long as it is there itself."""
        with trio.move_on_after(_SWEEP_S):
            # What is being killed may go on forking until it is dead.
            while sum(map(_kill_certainly, descendants_of(self.pid))):  # noqa: ASYNC110 - no event tells
                await trio.sleep(_SWEEP_POLL_S)

    def _end(self, status: ExitStatus) -> None:
        if self._status is None:
            self._status = status
            self._last_page = self._page.read()
            self._ended.set()

    async def _read_output(self, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.lowlevel.FdStream(self._output_fd) as stream:
                await self._output.follow(stream)

    async def _wait_adopted(self) -> None:
        """Wait until the process is a child of this one, who alone can ask for its status.

        One that is killed at once can be dead before the process in between has ended.
        """
        me = os.getpid()
        while (stat := read_stat(self.pid)) is not None and stat.parent != me:  # noqa: ASYNC110 - no event tells
            await trio.sleep(_ADOPTION_POLL_S)

    def _look_at_status(self) -> ExitStatus:
        found = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        assert found is not None
        if found.si_code == os.CLD_EXITED:
            return ExitStatus(code=found.si_status, signal=None)
        return ExitStatus(code=None, signal=found.si_status)

    def _note_descendants(self, found: frozenset[Identity]) -> None:
        # What was seen once is remembered: a later look may come when the worker is dead already.
        # Forgotten when too many, or a job that forks all the time would fill the memory.
        known = self._descendants if len(self._descendants) < 1_000 else frozenset()
        self._descendants = known | found

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _kill_certainly(pid: int) -> bool:
    """Kill a process of somebody else's children; return whether it was there and alive.

    Not by its number alone: it may be reaped, and the number given to another, at any moment.
    """
    before = read_stat(pid)
    if before is None or before.ended:
        return False
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        after = read_stat(pid)
        if after is None or after.identity != before.identity:
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(pidfd)
    return True
