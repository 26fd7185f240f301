"""Writes what calls have left in their connections' outputs, once a scheduler pass.

Calls that suspended end in tasks of their own, often many in one pass of the scheduler: whatever
they all waited for has come. Their replies leave in one write a connection, not one a call.
"""

from typing import Protocol

import trio


class Flushable(Protocol):
    """A connection."""

    def flush(self) -> None:
        """Write the output as far as the socket takes it."""


class Flusher:
    """One task that flushes the connections named since its last turn."""

    def __init__(self) -> None:
        self._dirty: list[Flushable] = []
        self._idle_task: trio.lowlevel.Task | None = None

    def flush_soon(self, connection: Flushable) -> None:
        """Have a connection flushed after all tasks that can run now have had their turn."""
        self._dirty.append(connection)
        task, self._idle_task = self._idle_task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def run(self) -> None:
        """Flush until cancelled."""

        def abort(_: object) -> trio.lowlevel.Abort:
            self._idle_task = None
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            while self._dirty:
                self._flush_dirty()
            self._idle_task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)

    def _flush_dirty(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()
