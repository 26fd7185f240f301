"""Sending batches, and what to do when that fails."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from engine.errors import UnavailableError
from engine.generator.batches import Batch
from engine.generator.sendlog import SendLog
from engine.generator.stats import GeneratorStats

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0

Send = Callable[[Sequence[tuple[bytes, bytes]]], Awaitable[None]]
"""Sends (key, value) messages in order and returns once the broker has acknowledged all of them.

Raises UnavailableError when it has not; some of them may then have arrived nevertheless.
"""

logger = logging.getLogger(__name__)


class Delivery:
    """Sends one task's batches, in order, and keeps count."""

    def __init__(
        self,
        send: Send,
        stats: GeneratorStats,
        log: SendLog | None,
        give_up_after_s: float | None,
    ) -> None:
        self._send = send
        self._stats = stats
        self._log = log
        self._give_up_after_s = float("inf") if give_up_after_s is None else give_up_after_s
        self._failing_since: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    async def deliver(self, batch: Batch) -> None:
        """Send a batch once. If that fails, count it as unacknowledged and pause.

        It is not sent again: some of it may have arrived, and a second copy would be an event that
        never happened.

        Raises:
          UnavailableError: sending has failed for the time that was given.
        Cancellation: some of the batch may have arrived; it is counted as unacknowledged.
        """
        try:
            await self._send(batch.messages)
        except UnavailableError as error:
            self._stats.unacknowledged += len(batch.messages)
            await self._wait_after(error)
            return
        except trio.Cancelled:
            self._stats.unacknowledged += len(batch.messages)
            raise
        self._failing_since = None
        self._pause_s = _FIRST_PAUSE_S
        self._stats.malformed += len(batch.malformed)
        self._stats.acknowledged += len(batch.messages) - len(batch.malformed)
        if self._log is not None:
            self._log.append(batch)

    async def _wait_after(self, error: UnavailableError) -> None:
        now = trio.current_time()
        if self._failing_since is None:
            self._failing_since = now
            logger.warning("events not acknowledged", extra={"detail": str(error)})
        if now - self._failing_since >= self._give_up_after_s:
            raise error
        await trio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
