"""One zygote process, as the engine sees it."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from engine.errors import StartFailedError
from engine.workers import zygote_wire
from engine.workers.output import ProcessOutput
from engine.workers.proctable import read_stat

logger = logging.getLogger(__name__)

_PROGRAM: Final = Path(__file__).with_name("zygote.py")
_START_S: Final = 60.0
_PING_INTERVAL_S: Final = 2.0
_SILENT_S: Final = 5.0
_SPAWN_S: Final = 5.0
_LAST_WORDS_S: Final = 0.2

_PASSED_ON: Final = (
    "PATH",
    "LD_LIBRARY_PATH",
    "TZ",
    "LANG",
    "LC_ALL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Of the engine's environment, which may hold secrets, the zygote gets no more than these."""

_SINGLE_THREADED: Final = {
    # Libraries that start threads when they are imported; a fork would leave their locks held.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # The title of a process would be written over its environment, and a mark stands there.
    "SPT_NOENV": "1",
}


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

        Not in a thread: the kernel ties "tell me when my parent dies" to the thread that forked.

        Raises:
          OSError: the process could not be made.
        """
        with contextlib.ExitStack() as undo:
            self._start(config, environment, folder, undo)
            undo.pop_all()
        self._output = ProcessOutput("zygote output", {"pid": self.pid})
        self._pending: dict[int, _Pending] = {}
        self._requests = 0
        self._heard_at = trio.current_time()
        self.ready = trio.Event()
        self._workers = workers

    def _start(
        self,
        config: zygote_wire.ZygoteConfig,
        environment: Mapping[str, str],
        folder: Path,
        undo: contextlib.ExitStack,
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undo.callback(ours.close)
        with theirs:
            output_fd, their_output_fd = os.pipe()
            undo.callback(os.close, output_fd)
            try:
                self._popen = subprocess.Popen(
                    [sys.executable, "-I", str(_PROGRAM), str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=their_output_fd,
                    stderr=their_output_fd,
                    pass_fds=[theirs.fileno()],
                    cwd=folder,
                    env=_environment(environment),
                    start_new_session=True,
                    umask=0o077,
                )
            finally:
                os.close(their_output_fd)
        undo.callback(self._popen.wait)
        undo.callback(self._popen.kill)
        self.pid = self._popen.pid
        self._pidfd = os.pidfd_open(self.pid)
        undo.callback(os.close, self._pidfd)
        ours.setblocking(False)
        self._channel = ours
        self._output_fd = output_fd
        self._send(attrs.asdict(config))

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
                    self.kill()
                    with trio.CancelScope(shield=True):
                        await trio.lowlevel.wait_readable(self._pidfd)
                    code = self._popen.wait()
                    reading.deadline = trio.current_time() + _LAST_WORDS_S
        finally:
            self.drain()
            for pending in self._pending.values():
                pending.answered.set()
            self._channel.close()
            os.close(self._pidfd)
        if verdict is None:
            verdict = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        words = self._output.last_lines
        return f"{verdict}; it said: {words[-1]}" if words else verdict

    def kill(self) -> None:
        """Kill the process if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

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
            with trio.move_on_after(_SPAWN_S):
                await pending.answered.wait()
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

    def drain(self) -> bool:
        """Take all messages that have come; return whether more can come."""
        try:
            # Closed with the end of `run`, a moment before its caller knows.
            while self._channel.fileno() >= 0 and (received := zygote_wire.receive(self._channel)):
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
            await trio.lowlevel.wait_readable(self._pidfd)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_at_exit)
            nursery.start_soon(self._read_answers)
            verdict = await self._watch()
            nursery.cancel_scope.cancel()
        return verdict

    async def _read_answers(self) -> None:
        while self.drain():
            await trio.lowlevel.wait_readable(self._channel)

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
        zygote_wire.send(self._channel, message, descriptors)

    async def _read_output(self, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.lowlevel.FdStream(self._output_fd) as stream:
                await self._output.follow(stream)


def _environment(mark: Mapping[str, str]) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **passed_on, **_SINGLE_THREADED, **mark}
