"""Processes that a worker left behind.

The engine adopts what its workers orphan: it is their subreaper. Among its children are then its
own servers, its zygote, its workers, and these strays.
"""

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Container
from typing import Final

import trio

from engine.workers.marks import Mark, mark_of
from engine.workers.proctable import Identity, children_of, read_stat

logger = logging.getLogger(__name__)

_CLEAR_S: Final = 2.0
_FORGOTTEN_S: Final = 30.0


class StrayCatcher:
    """Finds, kills and reaps the strays of one host's workers."""

    def __init__(self, mark: Mark, known: Callable[[], Container[int]]) -> None:
        """`known` returns the numbers of the host's own processes, up to date at each call."""
        self._mark = mark
        self._known = known
        self._dead_since: dict[Identity, float] = {}

    def find(self, expected: frozenset[Identity] = frozenset()) -> list[int]:
        """Return the engine's children that carry the host's mark or are `expected`, and are not
        known."""
        children = children_of(os.getpid())
        # Asked after the listing: of a worker the host is told before it becomes a child.
        known = self._known()
        return [
            pid
            for pid in children
            if pid not in known and (mark_of(pid) == self._mark or _is_one_of(pid, expected))
        ]

    async def clear(self, expected: frozenset[Identity] = frozenset()) -> None:
        """Kill and reap strays until there are none: the death of one may bring its children.

        Gives up, and says so, on what cannot be killed (it waits for a disk or a driver).

        Cancellation: a checkpoint if there are any; what was killed is reaped by a later call.
        """
        with trio.move_on_after(_CLEAR_S) as patience:
            while found := self.find(expected):
                for pid in found:
                    # A child keeps its number until it is reaped, so this cannot hit another.
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                for pid in found:
                    await _reap(pid)
                logger.info("strays killed", extra={"pids": found})
        if patience.cancelled_caught:
            logger.error("strays cannot be killed", extra={"pids": self.find(expected)})

    def reap_forgotten(self, now: float) -> None:
        """Reap adopted processes that died and that nobody waits for.

        Such as the helper of a server that has died itself. Who has children of its own waits for
        them at once, so one that has been dead for long is nobody's.

        Args:
          now: a monotonic time, seconds.
        """
        known = self._known()
        stats = [read_stat(pid) for pid in children_of(os.getpid()) if pid not in known]
        dead = {stat.identity for stat in stats if stat is not None and stat.ended}
        self._dead_since = {who: self._dead_since.get(who, now) for who in dead}
        for who, since in self._dead_since.items():
            if now - since >= _FORGOTTEN_S:
                with contextlib.suppress(ChildProcessError):
                    os.waitid(os.P_PID, who.pid, os.WEXITED | os.WNOHANG)


def _is_one_of(pid: int, expected: frozenset[Identity]) -> bool:
    if not expected:
        return False
    stat = read_stat(pid)
    return stat is not None and stat.identity in expected


async def _reap(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return  # another call has reaped it
    try:
        await trio.lowlevel.wait_readable(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)  # noqa: ASYNC222 - it has ended
    finally:
        os.close(pidfd)
