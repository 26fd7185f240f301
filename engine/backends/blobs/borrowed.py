"""Disposing of what a thread may still be using."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class GivenUpError(Exception):
    """The thing was given up before the thread came to use it."""


class Borrowed:
    """A resource used by one thread at a time, which is disposed of by whoever is last.

    A task that is cancelled leaves its thread behind, in the middle of a call: closing the
    descriptor beneath it would let it read or write another file that was given the same number.
    """

    def __init__(self, dispose: Callable[[], None]) -> None:
        self._dispose = dispose
        self._lock = threading.Lock()
        self._in_use = False
        self._given_up = False

    @property
    def given_up(self) -> bool:
        return self._given_up

    @contextmanager
    def use(self) -> Iterator[None]:
        """Keep the resource from being disposed of while the block runs.

        Raises:
          GivenUpError: it has been given up.
        """
        with self._lock:
            if self._given_up:
                raise GivenUpError
            self._in_use = True
        try:
            yield
        finally:
            with self._lock:
                self._in_use = False
                last = self._given_up
            if last:
                self._dispose()

    def give_up(self) -> None:
        """Dispose of the resource, now or as soon as the thread that uses it is done."""
        with self._lock:
            last = not self._given_up and not self._in_use
            self._given_up = True
        if last:
            self._dispose()
