"""Following one job."""

from collections.abc import Awaitable, Callable

import trio

from engine.errors import UnavailableError
from engine.jobs.job_changes import JobChanges
from engine.jobs.views import JobView

_INTERVAL_S = 0.1
"""A watcher is told of changes no faster than this: a look may cost some queries."""


class JobWatch:
    """The states of a job, from the present one to a final one, as an async iterator.

    Each is the latest when it is asked for: who asks late misses what lay between, and nobody
    waits for a watcher. There is nothing to close.
    """

    def __init__(
        self,
        job_id: str,
        follow: Callable[[str, JobView | None], Awaitable[JobView]],
        changes: JobChanges,
    ) -> None:
        """Make the iterator.

        Args:
          follow: returns the job, given what was last seen of it.
        """
        self._job_id = job_id
        self._follow = follow
        self._changes = changes
        self._seen: JobView | None = None

    def __aiter__(self) -> "JobWatch":
        return self

    async def __anext__(self) -> JobView:
        """Return the job as soon as it differs from what was returned last.

        Raises:
          StopAsyncIteration: what was returned last was final.
          NotFoundError, StoreError: as `Jobs.get`.
          UnavailableError: the job has not ended, and watching has; see `Jobs.end_watching`.
        """
        seen = self._seen
        if seen is not None:
            if seen.state.is_final:
                raise StopAsyncIteration
            await trio.sleep(_INTERVAL_S)
        while True:
            change = self._changes.next_change(self._job_id)
            view = await self._follow(self._job_id, seen)
            if self._changes.are_over and not view.state.is_final:
                raise UnavailableError(
                    "the engine is shutting down; the job is kept, watch it again later"
                )
            if view != seen:
                self._seen = view
                return view
            await change.wait()
