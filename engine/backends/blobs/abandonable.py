"""Threads that a task may leave behind without leaking what they were to bring."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


async def run_abandonable(
    call: Callable[[], T],
    *,
    limiter: trio.CapacityLimiter,
    dispose: Callable[[T], None] | None = None,
) -> T:
    """Run a blocking call in a thread, and leave it to itself when cancelled.

    Args:
      dispose: is given what the call returns when nobody takes it any more, in whatever thread.
    Cancellation: at once. The call goes on, and holds its place in the limiter until it ends.
    """
    if dispose is None:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)
    handover = _Handover(call, dispose)
    try:
        return await trio.to_thread.run_sync(handover.run, abandon_on_cancel=True, limiter=limiter)
    except trio.Cancelled:
        handover.abandon()
        raise


class _Handover(Generic[T]):
    """Knows whether a result that has come about is still wanted."""

    def __init__(self, call: Callable[[], T], dispose: Callable[[T], None]) -> None:
        self._call = call
        self._dispose = dispose
        self._lock = threading.Lock()
        self._results: list[T] = []
        self._abandoned = False

    def run(self) -> T:
        result = self._call()
        with self._lock:
            self._results.append(result)
            late = self._abandoned
        if late:
            self._dispose(result)
        return result

    def abandon(self) -> None:
        # The thread may have ended already, its result on the way to a task that was cancelled
        # before it was woken.
        with self._lock:
            self._abandoned = True
            unclaimed = [*self._results]
        for result in unclaimed:
            self._dispose(result)
