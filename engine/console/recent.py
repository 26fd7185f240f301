"""Answers that are a moment old, for all who ask the same at once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import attrs
import trio

from engine.errors import ResourceExhaustedError

_KEPT: Final = 64
_RETRY_S: Final = 1.0


@attrs.define
class _Entry:
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    until_s: float = 0.0
    state: object = None
    answer: bytes = b""


class RecentAnswers:
    """Keeps answers for a moment, and makes few at a time. Used from the Trio thread.

    However many Consoles are open, the same question costs one query a moment.
    """

    def __init__(self, *, keep_s: float, at_once: int, most_waiting: int) -> None:
        """Keep each answer for `keep_s` seconds, make `at_once`, refuse past `most_waiting`."""
        self._keep_s = keep_s
        self._making = trio.CapacityLimiter(at_once)
        self._most_waiting = most_waiting
        self._waiting = 0
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def get(
        self, key: str, read_state: Callable[[], object], make: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return the answer to `key`, made by `make` if there is none of this moment.

        Args:
          read_state: returns what is another thing once the answer may be another one.
        Raises:
          ResourceExhaustedError: too many wait.
        Cancellation: a checkpoint; others who wait for the same make it themselves.
        """
        if self._waiting >= self._most_waiting:
            raise ResourceExhaustedError("too many questions at once; ask again", _RETRY_S)
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        while len(self._entries) > _KEPT:
            self._entries.popitem(last=False)
        self._waiting += 1
        try:
            async with entry.lock:
                if entry.until_s <= trio.current_time() or entry.state != read_state():
                    async with self._making:
                        # From before: what changes meanwhile may not be in the answer.
                        entry.state = read_state()
                        entry.answer = await make()
                    entry.until_s = trio.current_time() + self._keep_s
                return entry.answer
        finally:
            self._waiting -= 1
