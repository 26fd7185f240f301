"""The way to Redis: changes in order and in batches, calls while it is whole, rebuilt when not."""

import contextlib
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from engine import metrics
from engine.errors import BackendUnavailableError, ResourceExhaustedError, StoreError
from engine.jobs.job_clock import JobClock
from engine.jobs.lease_queue import Depth, LeaseQueue, QueueLostError
from engine.jobs.queue_records import Change, Enqueue, Unreserve
from engine.jobs.ready_work import ReadyWork

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_CHANGES = 500
"""One script call holds up everybody else's for some milliseconds at most."""
_TRIES = 3
"""A connection that was cut is made again at once; a server that is gone is waited for."""
_QUICK_S = 1.0
"""A call that took longer before it failed is not made again: the server hangs."""
_TICK_US = 1_000_000
"""Pace of looking whether Redis still has the queue, while nothing else asks it."""
_FIRST_REBUILD_DELAY_S = 0.05
_LONGEST_REBUILD_DELAY_S = 1.0


class QueueLink:
    """Carries everything between the engine and the queue in Redis.

    It is open while the queue in Redis is known to be whole. A call that fails closes it; then the
    queue is built again, as often as it takes, and it is open again. Changes that were put in
    meanwhile are carried out after that. Used from the Trio thread.
    """

    def __init__(
        self,
        queue: LeaseQueue,
        clock: JobClock,
        work: ReadyWork,
        rebuild: Callable[[], Awaitable[None]],
        *,
        threads: int,
    ) -> None:
        """Make a link that is closed until `run` has built the queue.

        Args:
          rebuild: brings the queue in line with what the engine knows, by `call_directly`; called
            again if it raises BackendUnavailableError, QueueLostError, StoreError or
            ResourceExhaustedError.
          threads: calls at once.
        """
        self._queue = queue
        self._clock = clock
        self._work = work
        self._rebuild = rebuild
        self._limiter = trio.CapacityLimiter(threads)
        self._pending: deque[tuple[int, Change]] = deque()
        self._put_count = 0
        self._something_put = trio.Event()
        self._applied = trio.Event()
        self._next_due_us: int | None = None
        self._due_version = -1
        self._next_look_us = 0
        self._open = trio.Event()
        self._rebuilding = False
        self._calls = 0
        self._calls_over = trio.Event()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    async def wait_open(self) -> None:
        """Wait until the queue in Redis is whole."""
        while not self.is_open:
            await self._open.wait()

    def pending(self) -> dict[str, Change]:
        """Return the last change of each job that is still to be carried out."""
        return {
            change.job_id: change
            for _, change in self._pending
            if not isinstance(change, Unreserve)
        }

    def add_pool(self, pool: str) -> None:
        """Make a pool known before a job is put into it."""
        if pool not in self._queue.pools:
            self._queue.add_pools([pool])

    def put(self, *changes: Change) -> None:
        """Have changes carried out, after all that were put in before.

        While the link is closed, jobs to be enqueued are let go: they are in the data file, from
        which the queue will be built.
        """
        keeps_jobs = self.is_open or self._rebuilding
        for change in changes:
            self._put_count += 1
            if keeps_jobs or not isinstance(change, Enqueue):
                self._pending.append((self._put_count, change))
        self._something_put.set()

    async def wait_applied(self) -> None:
        """Wait until Redis has all that was put in before, however long it is away."""
        last = self._put_count
        while not self.is_open or (self._pending and self._pending[0][0] <= last):
            await self._applied.wait()

    async def call(self, function: Callable[[], T]) -> T:
        """Run a call of the queue in a thread, while the link is open.

        A call whose answer was lost is made again, so it must be one that can be.

        Raises:
          BackendUnavailableError: the link is or was closed; whether the call was carried out is
            not known.
        Cancellation: a checkpoint before the call, none while it runs or after it.
        """
        if not self.is_open:
            raise BackendUnavailableError("redis", "its queue is being built again")
        self._calls += 1
        try:
            return await self.call_directly(function)
        except QueueLostError as error:
            self._close(error)
            raise BackendUnavailableError("redis", str(error)) from error
        except BackendUnavailableError as error:
            self._close(error)
            raise
        finally:
            self._calls -= 1
            if not self._calls:
                self._calls_over.set()

    async def call_directly(self, function: Callable[[], T]) -> T:
        """As `call`, whether or not the link is open.

        Raises:
          BackendUnavailableError, QueueLostError: as `LeaseQueue`.
        """
        started_s = trio.current_time()
        for tries_left in reversed(range(_TRIES)):
            try:
                return await trio.to_thread.run_sync(function, limiter=self._limiter)
            except BackendUnavailableError:
                if not tries_left or trio.current_time() - started_s > _QUICK_S:
                    raise
        raise AssertionError("the last try returns or raises")

    def distrust(self, reason: str) -> None:
        """Have the queue built again, since it may differ from what the engine knows."""
        self._close(QueueLostError(reason))

    async def run(self) -> None:
        """Keep the queue in Redis whole and up to date until cancelled."""
        while True:
            await self._build()
            self._next_look_us = 0
            self._open.set()
            self._tell_applied()
            logger.debug("queue open")
            await self._carry()

    async def drain(self) -> None:
        """Carry out what is pending, unless the link is closed; `run` is over.

        What is not carried out is made up for by the next engine, except that it cannot tell jobs
        that were given back unbegun from those that were running.
        """
        with contextlib.suppress(BackendUnavailableError):
            while self.is_open and self._pending:
                await self._apply_some()

    async def _build(self) -> None:
        delay_s = _FIRST_REBUILD_DELAY_S
        while True:
            # A call that is still under way could lease jobs behind the back of the rebuilding.
            while self._calls:
                self._calls_over = trio.Event()
                await self._calls_over.wait()
            self._rebuilding = True
            try:
                self._work.forget()
                self._due_version = -1
                await self._rebuild()
                metrics.JOBS_REBUILDS.inc()
            except (BackendUnavailableError, QueueLostError) as error:
                self._let_go_of_jobs()
                logger.debug("queue not built", extra={"detail": str(error)})
            except (StoreError, ResourceExhaustedError) as error:
                # Such as an outcome that an operator's call has written meanwhile. What is on disk
                # is read again; if the file has failed, its writer stops the engine.
                self._let_go_of_jobs()
                logger.warning("queue not built", extra={"detail": str(error)})
            else:
                return
            finally:
                self._rebuilding = False
            await trio.sleep(delay_s)
            delay_s = min(_LONGEST_REBUILD_DELAY_S, 2 * delay_s)

    async def _carry(self) -> None:
        """Carry out changes and promote delayed jobs, until the link is closed."""
        with contextlib.suppress(BackendUnavailableError):  # which has closed it
            while self.is_open:
                if self._promotion_is_due():
                    await self._promote()
                elif self._pending:
                    await self._apply_some()
                else:
                    await self._wait_for_changes()

    def _promotion_is_due(self) -> bool:
        now_us = self._clock.now_us()
        return now_us >= self._next_look_us or (
            self._next_due_us is not None and now_us >= self._next_due_us
        )

    async def _wait_for_changes(self) -> None:
        self._something_put = trio.Event()
        wait_s = self._clock.seconds_until(self._next_look_us)
        if self._next_due_us is not None:
            wait_s = min(wait_s, self._clock.seconds_until(self._next_due_us))
        with trio.move_on_after(wait_s):
            await self._something_put.wait()

    async def _apply_some(self) -> None:
        batch = list(itertools.islice(self._pending, BATCH_CHANGES))
        now_us = self._clock.now_us()
        applied = await self.call(
            lambda: self._queue.apply([change for _, change in batch], now_us)
        )
        # By number: meanwhile the link may have been closed, and jobs let go.
        last = batch[-1][0]
        while self._pending and self._pending[0][0] <= last:
            self._pending.popleft()
        self.note(applied.depth)
        self._tell_applied()

    async def _promote(self) -> None:
        now_us = self._clock.now_us()
        promoted = await self.call(lambda: self._queue.promote(now_us))
        self._next_look_us = now_us + _TICK_US
        self.note(promoted.depth)

    def note(self, depth: Depth) -> None:
        """Take over what an answer of Redis says about the queue."""
        self._work.note(depth)
        if depth.version >= self._due_version:
            self._due_version = depth.version
            self._next_due_us = depth.next_due_us

    def _close(self, error: Exception) -> None:
        if self.is_open:
            logger.warning("queue closed", extra={"detail": str(error)})
            self._open = trio.Event()
            self._let_go_of_jobs()
        self._something_put.set()

    def _let_go_of_jobs(self) -> None:
        self._pending = deque(entry for entry in self._pending if not isinstance(entry[1], Enqueue))

    def _tell_applied(self) -> None:
        applied, self._applied = self._applied, trio.Event()
        applied.set()
