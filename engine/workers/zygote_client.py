"""One zygote process, as the engine sees it."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from engine.errors import StartFailedError
from engine.workers import zygote_wire
from engine.workers.output import ProcessOutput
from engine.workers.proctable import read_stat
from engine.workers.zygote_process import start_zygote

logger = logging.getLogger(__name__)

_START_S: Final = 60.0
_PING_INTERVAL_S: Final = 2.0
_SILENT_S: Final = 5.0
_SPAWN_S: Final = 5.0
_LAST_WORDS_S: Final = 0.2


@attrs.frozen
class Forked:
    """A worker that the zygote has made."""

    pid: int
    pidfd: int


@attrs.define
class _Pending:
    """A request under way and what came of it."""

    answered: trio.Event = attrs.field(factory=trio.Event)
    forked: Forked | None = None
    problem: str = "the zygote ended"


class Zygote:
    """A zygote that has been started. `run` it; `fork` once it is `ready`."""

    def __init__(
        self,
        config: zygote_wire.ZygoteConfig,
        environment: Mapping[str, str],
        folder: Path,
        workers: set[int],
    ) -> None:
        """Start the process.

        Args:
          environment: added to the little that a zygote gets of this process'.
          folder: where it runs.
          workers: the numbers of the host's workers, to which those forked are added.

        Not in a thread; see `start_zygote`.

        Raises:
          OSError: the process could not be made.
        """
        self._process = start_zygote(config, environment, folder)
        self.pid = self._process.pid
        self._output = ProcessOutput("zygote output", {"pid": self.pid})
        self._pending: dict[int, _Pending] = {}
        self._requests = 0
        self._heard_at = trio.current_time()
        self.ready = trio.Event()
        self._workers = workers

    async def run(self) -> str:
        """Attend to the process until it has ended; return why it did.

        Cancellation: the process is killed and reaped.
        """
        verdict: str | None = None
        reading = trio.CancelScope(shield=True)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_output, reading)
                try:
                    verdict = await self._attend()
                finally:
                    self._process.kill()
                    with trio.CancelScope(shield=True):
                        await trio.lowlevel.wait_readable(self._process.pidfd)
                    code = self._process.reap()
                    reading.deadline = trio.current_time() + _LAST_WORDS_S
        finally:
            self.drain()
            for pending in self._pending.values():
                pending.answered.set()
            self._process.close()
        if verdict is None:
            verdict = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        words = self._output.last_lines
        return f"{verdict}; it said: {words[-1]}" if words else verdict

    def kill(self) -> None:
        """Kill the process if it still runs."""
        self._process.kill()

    async def fork(self, spec: dict[str, Any], descriptors: tuple[int, int, int]) -> Forked:
        """Have a worker made.

        Args:
          spec: its own part of `WorkerStart`.
          descriptors: for its output, its stacks and its page; they stay the caller's.
        Raises:
          StartFailedError: there is none, or if there is one, it will be found to be a stray.
        Cancellation: a checkpoint; as with an error.
        """
        self._requests += 1
        number = self._requests
        pending = self._pending[number] = _Pending()
        try:
            self._send({"op": "spawn", "id": number, "spec": spec}, descriptors)
            await self._wait_answer(pending)
        except OSError as error:
            raise StartFailedError(f"the zygote takes no requests: {error.strerror}") from error
        except trio.Cancelled:
            self._disown(pending)
            raise
        finally:
            self._pending.pop(number, None)
        if not pending.answered.is_set():
            self.kill()
            raise StartFailedError(f"the zygote did not fork within {_SPAWN_S:g} s")
        if pending.forked is None:
            raise StartFailedError(f"no worker was forked: {pending.problem}")
        return pending.forked

    async def _wait_answer(self, pending: _Pending) -> None:
        """Return once it has answered, or has said nothing to anybody for too long."""
        asked_at = trio.current_time()
        while not pending.answered.is_set():
            # It forks for one after the other: while others hear of it, it will come to this one.
            give_up_at = max(asked_at, self._heard_at) + _SPAWN_S
            if trio.current_time() >= give_up_at:
                return
            with trio.move_on_at(give_up_at):
                await pending.answered.wait()

    def drain(self) -> bool:
        """Take all messages that have come; return whether more can come."""
        try:
            # Closed with the end of `run`, a moment before its caller knows.
            channel = self._process.channel
            while channel.fileno() >= 0 and (received := zygote_wire.receive(channel)):
                self._take(*received)
        except BlockingIOError:
            return True
        return False

    def _take(self, message: dict[str, Any], descriptors: list[int]) -> None:
        self._heard_at = trio.current_time()
        match message["op"]:
            case "ready":
                self._tell_ready(message)
            case "spawned":
                pending = self._pending.get(message["id"])
                if pending is None:
                    # Who asked is gone: what nobody knows is a stray.
                    for descriptor in descriptors:
                        os.close(descriptor)
                elif not descriptors:
                    pending.problem = "no descriptor was free for it"
                    pending.answered.set()
                else:
                    pending.forked = Forked(message["pid"], descriptors[0])
                    self._workers.add(message["pid"])
                    pending.answered.set()
            case "failed":
                pending = self._pending.get(message["id"])
                if pending is not None:
                    pending.problem = message["detail"]
                    pending.answered.set()

    def _tell_ready(self, message: dict[str, Any]) -> None:
        self.ready.set()
        logger.info(
            "zygote ready", extra={"pid": self.pid, "seconds": round(message["seconds"], 3)}
        )
        for missing in message["missing"]:
            logger.warning("zygote import failed", extra={"pid": self.pid, "detail": missing})
        if not message["marked"]:
            logger.warning(
                "daemons of jobs that clear their environment will not be found",
                extra={"detail": "the system does not let RLIMIT_RTTIME be set"},
            )

    def _disown(self, pending: _Pending) -> None:
        if pending.forked is not None:
            self._workers.discard(pending.forked.pid)
            os.close(pending.forked.pidfd)

    async def _attend(self) -> str | None:
        """Return once the process has ended, or should."""
        verdict: str | None = None

        async def stop_at_exit() -> None:
            await trio.lowlevel.wait_readable(self._process.pidfd)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_at_exit)
            nursery.start_soon(self._read_answers)
            verdict = await self._watch()
            nursery.cancel_scope.cancel()
        return verdict

    async def _read_answers(self) -> None:
        while self.drain():
            await trio.lowlevel.wait_readable(self._process.channel)

    async def _watch(self) -> str:
        """Return what is wrong once the process does not start, or does not answer."""
        problem = await self._wait_ready()
        if problem is not None:
            return problem
        while True:
            asked_at = trio.current_time()
            try:
                self._send({"op": "ping"})
            except OSError as error:
                return f"it takes no messages: {error.strerror}"
            await trio.sleep(_PING_INTERVAL_S)
            while self._heard_at < asked_at:
                if trio.current_time() - asked_at > _SILENT_S:
                    return f"no answer within {_SILENT_S:g} s"
                await trio.sleep(_PING_INTERVAL_S / 4)

    async def _wait_ready(self) -> str | None:
        """Return once it is ready, or what keeps it from being that."""
        give_up_at = trio.current_time() + _START_S
        was_stopped = False
        while trio.current_time() < give_up_at:
            with trio.move_on_after(_PING_INTERVAL_S):
                await self.ready.wait()
                return None
            # A start may take long, but one that somebody has stopped will not go on by itself.
            stat = read_stat(self.pid)
            stopped = stat is not None and stat.stopped
            if stopped and was_stopped:
                return "stopped by a signal while it started"
            was_stopped = stopped
        return f"not ready within {_START_S:g} s"

    def _send(self, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
        zygote_wire.send(self._process.channel, message, descriptors)

    async def _read_output(self, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.lowlevel.FdStream(self._process.output_fd) as stream:
                await self._output.follow(stream)
