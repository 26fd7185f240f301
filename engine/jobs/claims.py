"""Hands jobs to slots, and lets those wait who find none."""

import itertools
import math
from collections.abc import Sequence

import attrs
import trio

from engine import metrics
from engine.errors import BackendUnavailableError
from engine.jobs.job_changes import JobChanges
from engine.jobs.job_clock import JobClock
from engine.jobs.job_spans import begin_attempt
from engine.jobs.lease_queue import MOST_PER_CLAIM, Claimed, Leased, LeaseQueue
from engine.jobs.leases import Lease, LeaseTable, lease_of
from engine.jobs.queue_link import QueueLink
from engine.jobs.queue_records import GiveBack, LiveState
from engine.jobs.ready_work import ReadyWork

_LONGEST_CLAIM_S = 60.0
"""A call of Redis with its repetitions ends long before."""


@attrs.define(eq=False)
class Bar:
    """A job that is being ended while nobody holds it, so that nobody may get it."""

    strays: list[GiveBack] = attrs.field(factory=list)
    """Leases that Redis has given meanwhile, and how to undo them."""
    ended_run: int | None = None
    """Which run has ended; later ones may be handed out."""
    lifted_at_s: float = math.inf
    """When no claim can be under way any more that does not know of the end."""


class Claims:
    """Takes jobs from the queue for slots. Used from the Trio thread."""

    def __init__(
        self,
        queue: LeaseQueue,
        link: QueueLink,
        leases: LeaseTable,
        work: ReadyWork,
        changes: JobChanges,
        clock: JobClock,
        *,
        engine_mark: str,
        reserved_pools: frozenset[str] = frozenset(),
    ) -> None:
        """Make the counter.

        Args:
          reserved_pools: those from which only slots get jobs that ask for them by name.
          engine_mark: what the tokens of this life of the engine, and of no other, begin with.
        """
        self._queue = queue
        self._link = link
        self._leases = leases
        self._work = work
        self._changes = changes
        self._clock = clock
        self._tokens = (f"{engine_mark}{number}" for number in itertools.count(1))
        self._reserved_pools = reserved_pools
        self._claiming: dict[str, trio.Lock] = {}
        self._bars: dict[str, Bar] = {}

    async def claim(
        self, slot: str, pools: Sequence[str] | None, most: int, wait_s: float
    ) -> list[Lease]:
        """Take jobs for a slot; see `Jobs.claim`."""
        most = min(most, MOST_PER_CLAIM)
        if pools is not None:
            self._queue.add_pools(pools)
        deadline = trio.current_time() + wait_s
        async with self._claiming.setdefault(slot, trio.Lock()):
            # The first look is at Redis itself: what was given back to the slot is nobody's work.
            look = True
            while True:
                with trio.move_on_at(deadline) as waiting:
                    await self._link.wait_open()
                    await self._link.wait_applied()
                if waiting.cancelled_caught:
                    return []
                change = self._work.next_change()
                named = self._name(pools)
                if look or self._work.announce(named, most):
                    look = False
                    if leases := await self._take(slot, named, most):
                        return leases
                    continue
                with trio.move_on_at(deadline) as waiting:
                    await change.wait()
                if waiting.cancelled_caught:
                    return []

    def bar(self, job_id: str) -> None:
        """Hand a job to nobody, until it is let go or has ended."""
        self._bars[job_id] = Bar()

    def let_go(self, job_id: str) -> None:
        """Let a job be handed out again; undo what Redis has done with it meanwhile."""
        self._link.put(*self._bars.pop(job_id).strays)

    def note_ended(self, job_id: str, run: int) -> None:
        """A run of a barred job has ended, and the queue is being told."""
        now_s = trio.current_time()
        self._bars[job_id].ended_run = run
        self._bars[job_id].lifted_at_s = now_s + _LONGEST_CLAIM_S
        lifted = [one for one, bar in self._bars.items() if bar.lifted_at_s < now_s]
        for one in lifted:
            del self._bars[one]

    def _name(self, pools: Sequence[str] | None) -> Sequence[str]:
        """Return the pools to take jobs from; None: all that are not reserved."""
        if pools is not None:
            return pools
        return [pool for pool in self._queue.pools if pool not in self._reserved_pools]

    async def _take(self, slot: str, pools: Sequence[str], most: int) -> list[Lease]:
        token, now_us = next(self._tokens), self._clock.now_us()
        started_s = trio.current_time()

        def claim() -> Claimed:
            return self._queue.claim(slot, token, most, now_us, pools=pools)

        try:
            claimed = await self._link.call(claim)
        except BackendUnavailableError:
            # If it was carried out, the rebuilding that follows puts its jobs back.
            return []
        self._link.note(claimed.depth)
        leases = [lease for job in claimed.jobs if (lease := self._hand_out(job, slot, now_us))]
        if leases:
            metrics.JOBS_CLAIM_SECONDS.observe(trio.current_time() - started_s)
        return leases

    def _hand_out(self, job: Leased, slot: str, now_us: int) -> Lease | None:
        bar = self._bars.get(job.job_id)
        if bar is not None and (bar.ended_run is None or job.record.run <= bar.ended_run):
            bar.strays.append(_undo(job))
            return None
        lease = lease_of(job.job_id, job.record, job.spec, slot=slot, claimed_at_us=now_us)
        lease.span = begin_attempt(lease.job, slot)
        if lease.span.is_recording:
            lease.job = attrs.evolve(lease.job, traceparent=lease.span.traceparent)
        self._leases.add(lease)
        self._changes.tell(job.job_id)
        return lease


def _undo(job: Leased) -> GiveBack:
    record = job.record
    return GiveBack(
        job.job_id,
        record.run,
        record.token,
        LiveState.READY,
        "",
        record.attempt - 1,
        record.failures,
        0,
    )
