"""One child process: spawned so that it cannot be orphaned, and ended for certain."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from engine.backends.output import OutputLog

logger = logging.getLogger(__name__)

_LAUNCHER = Path(__file__).with_name("launcher.py")
_POLL_S = 0.05  # only where the kernel has no pidfd
_KILL_WAIT_S = 5.0  # a killed process is gone at once, unless a disk or driver holds it
_LAST_WORDS_S = 1.0  # output ends with the process, unless one that left its group holds the pipe


class ChildProcess:
    """A child in a session and process group of its own, its output on one pipe.

    Make one with `open_child`.
    """

    def __init__(self, argv: Sequence[str], *, folder: Path) -> None:
        """Spawn; returns once the launcher runs.

        Not in a thread, although that would save the loop a millisecond or two: the kernel ties
        "kill me when my parent dies" to the *thread* that forked, and Trio's threads end when idle.

        Raises:
          OSError: the process could not be made.
        """
        read_fd, write_fd = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *argv],
                stdin=subprocess.DEVNULL,
                stdout=write_fd,
                stderr=write_fd,
                cwd=folder,
                env=_environment(folder),
                start_new_session=True,
                umask=0o077,
            )
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        self.pid = self._popen.pid
        self.output = trio.lowlevel.FdStream(read_fd)
        self._pidfd = _open_pidfd(self.pid)

    @property
    def exited(self) -> bool:
        return self._popen.returncode is not None

    def describe_exit(self) -> str:
        """Say how the process ended; call it once it has."""
        code = self._popen.returncode
        assert code is not None
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    async def wait(self) -> None:
        """Return once the process has ended, the rest of its group killed and it is reaped."""
        if self.exited:
            return
        if self._pidfd is not None:
            await trio.lowlevel.wait_readable(self._pidfd)
        else:
            while self._popen.poll() is None:  # noqa: ASYNC110 - there is no event to wait for
                await trio.sleep(_POLL_S)
        # Before reaping: until then the number of the group cannot have been given to another.
        self._kill_group()
        self._popen.wait()

    def kill(self) -> None:
        """Kill the process and what it has forked; for one that is known not to answer."""
        if not self.exited:
            self._kill_group()

    def _kill_group(self) -> None:
        # A group that is gone, or (on macOS) holds only a zombie, is what was wanted.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, grace_s: float) -> None:
        """Ask the process to end, wait for `grace_s`, kill its group.

        Cancellation: shielded, so that nothing is left behind, and bounded.
        """
        with trio.CancelScope(shield=True):
            if not self.exited:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGTERM)
                    # One that somebody has stopped would hear of it only when it goes on.
                    os.kill(self.pid, signal.SIGCONT)
                with trio.move_on_after(grace_s):
                    await self.wait()
            if not self.exited:
                logger.warning("child did not stop in time", extra={"pid": self.pid})
                self.kill()
                with trio.move_on_after(_KILL_WAIT_S):
                    await self.wait()
            if not self.exited:
                logger.error("child cannot be killed", extra={"pid": self.pid})
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


@asynccontextmanager
async def open_child(
    argv: Sequence[str], *, folder: Path, output: OutputLog, grace_s: float
) -> AsyncIterator[ChildProcess]:
    """Spawn `argv` in `folder`, its output going to `output`; on leaving, end it and its group.

    The child's standard input is empty and its environment holds nothing of the engine's, which
    may carry secrets.

    Raises:
      OSError: the process could not be made.
    Cancellation: the process is stopped all the same, within `grace_s` and a few seconds.
    """
    child = ChildProcess(argv, folder=folder)
    # Shielded to hear the last words of a child that is stopped because of a cancellation; bounded
    # by the deadline below.
    listening = trio.CancelScope(shield=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, child, output, listening)
        try:
            yield child
        finally:
            await child.stop(grace_s)
            listening.deadline = trio.current_time() + _LAST_WORDS_S


async def _listen(child: ChildProcess, output: OutputLog, scope: trio.CancelScope) -> None:
    with scope:
        async with child.output:
            await output.follow(child.output, child.pid)


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "NO_COLOR": "1",
    }


def _open_pidfd(pid: int) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        # An old kernel or a sandbox without the call, or no descriptor left: polling serves too.
        return None
