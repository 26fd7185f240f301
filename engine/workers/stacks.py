"""What a process is doing: the Python stacks of its threads, from outside."""

import os
import re
import signal
from typing import Final

import trio

from engine.workers.proctable import ProcessStat, read_stat
from engine.workers.zygote_wire import STACKS_SIGNAL

_QUIET_S: Final = 0.02
_READ_BYTES: Final = 65_536
_MAX_BYTES: Final = 1 << 20

_LAST_LINE: Final = re.compile(rb'zygote\.py", line \d+ in <module>\n\s*\Z')
"""The outermost frame of the main thread, which is written last."""


class StackReader:
    """Asks one process for its stacks.

    `faulthandler` in the process writes them into a pipe of its own when a signal comes, in the
    signal's handler: it needs no interpreter lock, no memory, and no standard error.
    """

    def __init__(self, pid: int, pidfd: int, pipe_fd: int) -> None:
        """Read from `pipe_fd`, which does not block; both descriptors stay the caller's."""
        self._pid = pid
        self._pidfd = pidfd
        self._pipe_fd = pipe_fd
        self._turn = trio.Lock()

    async def capture(self, timeout_s: float) -> str:
        """Return the stacks, or in words why there are none.

        Cancellation: a checkpoint; the process is left as it was.
        """
        async with self._turn:
            before = read_stat(self._pid)
            if before is None or before.ended:
                return "no stacks: the process has ended"
            self._read_waiting()
            try:
                signal.pidfd_send_signal(self._pidfd, STACKS_SIGNAL)
                text = await self._collect(before, timeout_s)
            except OSError as error:
                return f"no stacks: the process cannot be signalled: {error.strerror}"
        if text:
            return text.decode("utf-8", "backslashreplace")
        after = read_stat(self._pid)
        if after is None or after.ended:
            return "no stacks: the process has ended"
        return (
            f"no stacks: the process wrote none within {timeout_s:g} s; "
            f"it was {before.describe()} before and is {after.describe()} now"
        )

    async def _collect(self, before: ProcessStat, timeout_s: float) -> bytes:
        if not before.stopped:
            return await self._read_answer(timeout_s)
        signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)
        try:
            return await self._read_answer(timeout_s)
        finally:
            signal.pidfd_send_signal(self._pidfd, signal.SIGSTOP)

    async def _read_answer(self, timeout_s: float) -> bytes:
        """Return what comes, until it looks complete or nothing has followed for a moment."""
        answer = b""
        deadline = trio.current_time() + timeout_s
        while len(answer) < _MAX_BYTES:
            until = min(deadline, trio.current_time() + _QUIET_S) if answer else deadline
            with trio.move_on_at(until) as patience:
                await trio.lowlevel.wait_readable(self._pipe_fd)
            if patience.cancelled_caught:
                break
            piece = self._read_waiting()
            if not piece:
                break  # the other end is closed
            answer += piece
            if _LAST_LINE.search(answer):
                break
        return answer

    def _read_waiting(self) -> bytes:
        pieces = []
        while True:
            try:
                piece = os.read(self._pipe_fd, _READ_BYTES)
            except BlockingIOError:
                break
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)
