"""One frame at a time for any number of open Consoles."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import attrs
import trio

from engine.errors import ResourceExhaustedError

_RETRY_S = 5.0
_SPREAD_S = 0.8
_GOLDEN = 0.618034
"""Woken at once, a hundred followers would hold up every answer for tens of milliseconds. Multiples
of this, without their whole part, lie far from each other however many there are."""


@attrs.frozen
class Frame:
    """What is sent at one moment."""

    full: bytes
    """To those who come, or come back."""
    brief: bytes
    """To those who have the frame before."""


class Hub:
    """Keeps the latest frame and wakes those who follow. Used from the Trio thread only.

    There is no queue: a follower that is slow finds the latest frame when it is back and never
    sees those in between, so it holds up nobody and costs no memory.
    """

    def __init__(self, most_followers: int) -> None:
        self._most_followers = most_followers
        self._frame = Frame(b"", b"")
        self._number = 0
        self._changed = trio.Event()
        self._closed = False
        self._came = trio.Event()
        self._left = trio.Event()
        self._places: set[int] = set()

    @property
    def followers(self) -> int:
        """How many there are."""
        return len(self._places)

    def publish(self, frame: Frame) -> None:
        """Replace the frame and wake all followers."""
        self._frame = frame
        self._number += 1
        self._wake()

    def close(self) -> None:
        """End all who follow once they have the last frame."""
        self._closed = True
        self._wake()

    async def wait_followed(self) -> None:
        """Return as soon as somebody follows."""
        while not self.followers:
            await self._came.wait()

    async def wait_left(self) -> None:
        """Return as soon as nobody follows."""
        while self.followers:
            await self._left.wait()

    @contextmanager
    def follow(self) -> Iterator["Follower"]:
        """Provide the frames from the present one on, to one more follower.

        Raises:
          ResourceExhaustedError: there are too many.
        """
        if self.followers >= self._most_followers:
            raise ResourceExhaustedError(
                f"{self.followers} consoles are open already; close one", _RETRY_S
            )
        place = next(place for place in count() if place not in self._places)
        self._places.add(place)
        self._came.set()
        self._came = trio.Event()
        try:
            yield Follower(self, _SPREAD_S * (place * _GOLDEN % 1.0))
        finally:
            self._places.remove(place)
            self._left.set()
            self._left = trio.Event()

    async def wait_past(self, number: int) -> None:
        """Return once the latest frame's number is past `number`, or there are no more."""
        while self._number == number and not self._closed:
            await self._changed.wait()

    async def receive_after(self, number: int) -> tuple[int, bytes | None]:
        """Return the latest frame and its number once it is past `number`; None at the end."""
        await self.wait_past(number)
        if self._number == number:
            return number, None
        is_next = number > 0 and self._number == number + 1
        return self._number, self._frame.brief if is_next else self._frame.full

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Follower:
    """One who follows a hub."""

    def __init__(self, hub: Hub, delay_s: float) -> None:
        self._hub = hub
        self._delay_s = delay_s
        self._seen = 0

    async def receive(self) -> bytes | None:
        """Return the latest frame once there is one that was not seen yet; None at the end.

        All but the first come to each follower a little later than to another.
        """
        if self._seen:
            await self._hub.wait_past(self._seen)
            await trio.sleep(self._delay_s)
        self._seen, frame = await self._hub.receive_after(self._seen)
        return frame
