"""What is done for the queue every few seconds, whether or not anybody asks."""

import logging
from functools import partial

import trio

from engine import metrics
from engine.errors import BackendUnavailableError
from engine.jobs.job_clock import JobClock
from engine.jobs.lease_queue import LeaseQueue
from engine.jobs.leases import LeaseTable
from engine.jobs.queue_link import QueueLink
from engine.jobs.reading import JobReading, QueueStats

logger = logging.getLogger(__name__)

_GAUGE_INTERVAL_S = 5.0
_LEASE_CONFIRM_INTERVAL_S = 10.0


class Upkeep:
    """Used from the Trio thread; somebody runs `run`."""

    def __init__(
        self,
        queue: LeaseQueue,
        link: QueueLink,
        leases: LeaseTable,
        reading: JobReading,
        clock: JobClock,
    ) -> None:
        self._queue = queue
        self._link = link
        self._leases = leases
        self._reading = reading
        self._clock = clock

    async def run(self) -> None:
        """Keep gauges and leases up to date until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_gauges)
            nursery.start_soon(self._confirm_leases)

    async def _keep_gauges(self) -> None:
        while True:
            await self._link.wait_open()
            try:
                stats = await self._reading.stats()
            except BackendUnavailableError as error:
                logger.debug("no depths", extra={"detail": str(error)})
            else:
                _show_depths(stats)
            await trio.sleep(_GAUGE_INTERVAL_S)

    async def _confirm_leases(self) -> None:
        while True:
            await trio.sleep(_LEASE_CONFIRM_INTERVAL_S)
            leases = [(lease.job.job_id, lease.claim) for lease in self._leases]
            if not leases or not self._link.is_open:
                continue
            now_us = self._clock.now_us()
            try:
                await self._link.call(partial(self._queue.extend, leases, now_us))
            except BackendUnavailableError as error:
                logger.debug("leases not confirmed", extra={"detail": str(error)})


def _show_depths(stats: QueueStats) -> None:
    for pool, depth in stats.by_pool.items():
        for state in ("ready", "delayed", "leased", "dead"):
            metrics.JOBS_DEPTH.labels(pool, state).set(getattr(depth, state))
        metrics.JOBS_OLDEST_SECONDS.labels(pool).set(depth.oldest_ready_age_s or 0.0)
