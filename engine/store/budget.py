"""A bound on rows and bytes at once, granted first come, first served."""

from collections import deque

import attrs
import trio


@attrs.define(eq=False)
class _Waiter:
    rows: int
    size_bytes: int
    granted: trio.Event = attrs.field(factory=trio.Event)


class Budget:
    """How many rows and bytes may be under way together.

    First come, first served: a large claim at the head is not starved by small ones behind it. A
    claim beyond the bound is granted alone, since refusing it for ever would only move the problem
    to a sender who cannot split it.
    """

    def __init__(self, *, rows: int, size_bytes: int) -> None:
        self.rows_limit = rows
        self.bytes_limit = size_bytes
        self.rows_held = 0
        self.bytes_held = 0
        self._waiters: deque[_Waiter] = deque()

    async def acquire(self, rows: int, size_bytes: int) -> None:
        """Wait until the claim fits, then hold it.

        Cancellation: nothing is held.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._waiters and self._fits(rows, size_bytes):
            self._hold(rows, size_bytes)
            return
        waiter = _Waiter(rows, size_bytes)
        self._waiters.append(waiter)
        try:
            await waiter.granted.wait()
        except trio.Cancelled:
            # Still waiting: Trio does not cancel a wait whose event was set before.
            self._waiters.remove(waiter)
            self._grant()
            raise

    def release(self, rows: int, size_bytes: int) -> None:
        """Give a held claim back."""
        self.rows_held -= rows
        self.bytes_held -= size_bytes
        self._grant()

    def _fits(self, rows: int, size_bytes: int) -> bool:
        within = (
            self.rows_held + rows <= self.rows_limit
            and self.bytes_held + size_bytes <= self.bytes_limit
        )
        return within or not (self.rows_held or self.bytes_held)

    def _hold(self, rows: int, size_bytes: int) -> None:
        self.rows_held += rows
        self.bytes_held += size_bytes

    def _grant(self) -> None:
        while self._waiters and self._fits(self._waiters[0].rows, self._waiters[0].size_bytes):
            waiter = self._waiters.popleft()
            self._hold(waiter.rows, waiter.size_bytes)
            waiter.granted.set()
