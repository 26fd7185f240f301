"""A connection in a process where anybody may close its file descriptor."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from engine.rpc.client import BlockingChannel
from engine.tasks.link import EngineUnreachableError

logger = logging.getLogger(__name__)

_STANDARD_ERROR: Final = 2


class GuardedConnection:
    """Makes sure before a call that the channel's descriptor is still the channel's.

    A job that closes descriptors it did not open may next open a file that gets the number of our
    socket: what we send would end up in that file, or what another thread receives, with us.
    """

    def __init__(self, channel: BlockingChannel) -> None:
        self.channel = channel
        self._known: tuple[int, tuple[int, int]] | None = None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Make a call in the block.

        Raises:
          EngineUnreachableError: the descriptor was closed meanwhile; the next call connects again.
        """
        if self._is_foreign():
            logger.warning("somebody has closed the descriptor of a connection")
            self._forget()
        try:
            yield
        except OSError as error:
            # Or it comes from what is to be sent, which a job's code makes.
            if not self._is_foreign():
                raise
            self._forget()
            raise EngineUnreachableError(f"the connection was closed here: {error}") from error
        finally:
            # Also after an error: the channel may have lost its connection, or made another.
            self._remember()

    def close(self) -> None:
        """Close the connection, if it is one."""
        if self._is_foreign():
            self.channel.abandon()
        self.channel.close()
        self._known = None

    def _is_foreign(self) -> bool:
        return self._known is not None and _identify(self._known[0]) != self._known[1]

    def _remember(self) -> None:
        number = self.channel.descriptor
        if number is None:
            self._known = None
        elif self._known is None or self._known[0] != number:
            identity = _identify(number)
            self._known = None if identity is None else (number, identity)

    def _forget(self) -> None:
        self.channel.abandon()
        self._known = None
        _occupy_standard_streams()


def _occupy_standard_streams() -> None:
    """Have numbers 0 to 2 taken: a connection that got one of them would be sent what is logged."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)


def _identify(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
