"""One decision at a time about uploads that are the same."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio


class KeyLocks:
    """Locks on what uploads are known by. Used from the Trio thread."""

    def __init__(self) -> None:
        self._held: dict[str, trio.Event] = {}

    @asynccontextmanager
    async def hold(self, keys: Sequence[str]) -> AsyncIterator[None]:
        """Hold keys, all at once, as soon as nobody else holds one of them.

        Cancellation: a checkpoint while waiting, with nothing held.
        """
        while under_way := [self._held[key] for key in keys if key in self._held]:
            await under_way[0].wait()
        done = trio.Event()
        self._held.update(dict.fromkeys(keys, done))
        try:
            yield
        finally:
            for key in keys:
                del self._held[key]
            done.set()
