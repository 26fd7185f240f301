"""Replaces living workers one after the other."""

from collections.abc import Iterable

import trio

from engine.workers.checks import Order
from engine.workers.live_worker import LiveWorker
from engine.workers.slot import Slot


class RollingRestart:
    """The one row of workers to be replaced, whoever asked for it, and however often.

    A worker that is in the row when it is asked for again is replaced once: whatever has changed by
    then, its successor starts after that. Used from the Trio thread; somebody runs `run`.
    """

    def __init__(self, *, start_timeout_s: float) -> None:
        """Begin with nothing to do.

        Args:
          start_timeout_s: how long to wait for a successor before the next one's turn.
        """
        self._start_timeout_s = start_timeout_s
        self._row: dict[LiveWorker, Slot] = {}
        self._added = trio.Event()

    def add(self, slots: Iterable[Slot]) -> int:
        """Have the workers replaced that fill these slots now; return how many they are.

        Those of drained slots leave anyway, and nobody follows them.
        """
        found = {
            worker: slot
            for slot in slots
            if (worker := slot.worker) is not None and not slot.is_drained
        }
        self._row.update(found)  # those in the row keep their place
        self._added.set()
        return len(found)

    def clear(self) -> None:
        """Replace no more, but for the worker whose turn it is."""
        self._row.clear()

    async def run(self) -> None:
        """Replace what is added until cancelled."""
        while True:
            while self._row:
                worker, slot = next(iter(self._row.items()))
                await self._replace(worker, slot)
                self._row.pop(worker, None)
            self._added = trio.Event()
            await self._added.wait()

    async def _replace(self, worker: LiveWorker, slot: Slot) -> None:
        if worker.ended.is_set():
            return
        if worker.order is Order.CONTINUE:
            worker.tell(Order.RESTART)
            slot.show()
        await worker.ended.wait()
        if slot.is_drained:
            return
        # A slot that is parked, or gone, does not hold up the others for long.
        with trio.move_on_after(self._start_timeout_s):
            await slot.next_ready.wait()
