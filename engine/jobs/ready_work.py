"""Which pools have work, so that whoever wants some waits in memory and not at Redis."""

from collections.abc import Sequence

import trio

from engine.jobs.lease_queue import Depth


class ReadyWork:
    """The depth of every pool as of the latest answer of Redis.

    All jobs come and go through this engine, so the numbers are right between answers, except that
    a claim under way will lower them: it announces what it will take. Used from the Trio thread.
    """

    def __init__(self) -> None:
        self._ready: dict[str, int] = {}
        self._version_of: dict[str, int] = {}
        self._changed = trio.Event()

    @property
    def pools(self) -> tuple[str, ...]:
        """Every pool that was heard of."""
        return tuple(self._ready)

    def note(self, depth: Depth) -> None:
        """Take over what an answer says, unless a later one has come first."""
        more = False
        for pool, count in depth.ready.items():
            if depth.version >= self._version_of.get(pool, -1):
                more = more or count > 0
                self._version_of[pool] = depth.version
                self._ready[pool] = count
        if more:
            changed, self._changed = self._changed, trio.Event()
            changed.set()

    def forget(self) -> None:
        """Start over: versions of another Redis say nothing about those of this one."""
        self._version_of.clear()

    def announce(self, pools: Sequence[str] | None, most: int) -> bool:
        """Announce a claim and tell whether it can find anything.

        Those who ask next do not go for the same jobs.
        """
        found = 0
        for pool in self._ready if pools is None else pools:
            taken = min(self._ready.get(pool, 0), most - found)
            if taken:
                self._ready[pool] -= taken
                found += taken
        return found > 0

    def next_change(self) -> trio.Event:
        """Return the event that is set when there is work again."""
        return self._changed
