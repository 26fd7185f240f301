"""Wakes those who watch a job when something about it has changed."""

from weakref import WeakValueDictionary

import trio


class JobChanges:
    """One event a watched job. Nobody is registered: who no longer waits has let go of the event.

    Changes that follow on each other closely wake a watcher once, so it sees the latest state and
    holds nobody up. Used from the Trio thread only.
    """

    def __init__(self) -> None:
        self._event_of: WeakValueDictionary[str, trio.Event] = WeakValueDictionary()
        self.are_over = False
        """Whether nobody is told of changes any more; who waited has been woken."""

    def next_change(self, job_id: str) -> trio.Event:
        """Return the event that the next change of a job will set."""
        event = self._event_of.get(job_id)
        if event is None:
            event = self._event_of[job_id] = trio.Event()
        return event

    def tell(self, job_id: str) -> None:
        """Wake those who watch a job."""
        event = self._event_of.pop(job_id, None)
        if event is not None:
            event.set()

    def end(self) -> None:
        """Wake all, for the last time."""
        self.are_over = True
        for event in [*self._event_of.values()]:
            event.set()
