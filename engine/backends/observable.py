"""A value that tasks can watch."""

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class Observable(Generic[T]):
    """Holds the latest value and wakes whoever waits for another one.

    Watchers see the latest value, not every value: two quick changes may wake them once. Used from
    the Trio thread only.
    """

    def __init__(self, value: T) -> None:
        self._value = value
        self._changed = trio.Event()

    @property
    def value(self) -> T:
        return self._value

    def set(self, value: T) -> None:
        """Replace the value; an equal one changes nothing and wakes nobody."""
        if value == self._value:
            return
        self._value = value
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def wait_change(self, seen: T) -> T:
        """Return the value as soon as it differs from `seen`, which may be at once.

        Waits for ever when nothing changes: the caller's scope is the deadline.
        """
        await trio.lowlevel.checkpoint()
        while self._value == seen:
            await self._changed.wait()
        return self._value
