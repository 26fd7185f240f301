"""What a process is doing: the Python stacks of its threads, from outside."""

import contextlib
import errno
import os
import re
import signal
from typing import Final

import trio

from engine.workers.proctable import ProcessStat, read_stat
from engine.workers.zygote_wire import OWN_STACK_SIGNAL, STACKS_SIGNAL

_QUIET_S: Final = 0.1
"""What looks complete is not waited on; what does not may have its writer off a busy processor."""
_READ_BYTES: Final = 65_536
_MAX_BYTES: Final = 1 << 20

_LAST_LINE: Final = re.compile(rb'zygote\.py", line \d+ in <module>\n\s*\Z')
"""The outermost frame of the main thread, which is written last."""


class StackReader:
    """Asks one process for its stacks.

    `faulthandler` in the process writes them into a pipe of its own when a signal comes, in the
    signal's handler: it needs no interpreter lock, no memory, and no standard error. But it reads
    the frames of threads that run meanwhile, which may crash the process before the main thread's
    stack, the last one, is written. So that one is asked for first, on its own.
    """

    def __init__(self, pid: int, pidfd: int, pipe_fd: int) -> None:
        """Read from `pipe_fd`, which does not block; both descriptors stay the caller's."""
        self._pid = pid
        self._pidfd = pidfd
        self._pipe_fd = pipe_fd
        self._turn = trio.Lock()
        self._closed = False

    def close(self) -> None:
        """Use the descriptors no more: their numbers may soon be those of others."""
        self._closed = True
        trio.lowlevel.notify_closing(self._pipe_fd)

    async def capture(self, timeout_s: float) -> str:
        """Return the stacks, or in words why there are none.

        Cancellation: a checkpoint; the process is left as it was.
        """
        async with self._turn:
            before = None if self._closed else read_stat(self._pid)
            if before is None or before.ended:
                return "no stacks: the process has ended"
            self._read_waiting()
            try:
                text = await self._collect(before, timeout_s)
            except OSError as error:
                return f"no stacks: the process cannot be signalled: {error.strerror}"
        if text:
            return text.decode("utf-8", "backslashreplace")
        after = None if self._closed else read_stat(self._pid)
        if after is None or after.ended:
            return "no stacks: the process has ended"
        return (
            f"no stacks: the process wrote none within {timeout_s:g} s; "
            f"it was {before.describe()} before and is {after.describe()} now"
        )

    async def _collect(self, before: ProcessStat, timeout_s: float) -> bytes:
        if not before.stopped:
            return await self._ask(timeout_s)
        self._send(signal.SIGCONT)
        try:
            return await self._ask(timeout_s)
        finally:
            # It may have ended meanwhile, which is no reason to lose the answer.
            with contextlib.suppress(ProcessLookupError):
                self._send(signal.SIGSTOP)

    async def _ask(self, timeout_s: float) -> bytes:
        """Return all stacks; if they do not come to the end, then the main thread's after them."""
        deadline = trio.current_time() + timeout_s
        self._send(OWN_STACK_SIGNAL)
        own = await self._read_answer(deadline - timeout_s / 2)
        try:
            self._send(STACKS_SIGNAL)
        except ProcessLookupError:
            return own
        everything = await self._read_answer(deadline)
        if not own or _LAST_LINE.search(everything):
            return everything
        return b"\n".join([everything, own]) if everything else own

    def _send(self, number: int) -> None:
        if self._closed:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        signal.pidfd_send_signal(self._pidfd, number)

    async def _read_answer(self, deadline: float) -> bytes:
        """Return what comes, until it looks complete or nothing has followed for a moment."""
        answer = b""
        while len(answer) < _MAX_BYTES:
            until = min(deadline, trio.current_time() + _QUIET_S) if answer else deadline
            try:
                with trio.move_on_at(until) as patience:
                    await trio.lowlevel.wait_readable(self._pipe_fd)
            except trio.ClosedResourceError:
                break
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
