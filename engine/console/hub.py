"""One frame at a time for any number of open Consoles."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from engine.errors import ResourceExhaustedError

_RETRY_S = 5.0


class Hub:
    """Keeps the latest frame and wakes those who follow. Used from the Trio thread only.

    There is no queue: a follower that is slow finds the latest frame when it is back and never
    sees those in between, so it holds up nobody and costs no memory.
    """

    def __init__(self, most_followers: int) -> None:
        self._most_followers = most_followers
        self._frame = b""
        self._number = 0
        self._changed = trio.Event()
        self._closed = False
        self._came = trio.Event()
        self._left = trio.Event()
        self.followers = 0

    def publish(self, frame: bytes) -> None:
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
        self.followers += 1
        self._came.set()
        self._came = trio.Event()
        try:
            yield Follower(self)
        finally:
            self.followers -= 1
            self._left.set()
            self._left = trio.Event()

    async def receive_after(self, number: int) -> tuple[int, bytes | None]:
        """Return the latest frame and its number once it is past `number`; None at the end."""
        while self._number == number:
            if self._closed:
                return number, None
            await self._changed.wait()
        return self._number, self._frame

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Follower:
    """One who follows a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen = 0

    async def receive(self) -> bytes | None:
        """Return the latest frame once there is one that was not seen yet; None at the end."""
        self._seen, frame = await self._hub.receive_after(self._seen)
        return frame
