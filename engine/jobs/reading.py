"""Answers what jobs are doing: from the data file, Redis and memory."""

from collections.abc import Sequence

import attrs

from engine.errors import BackendUnavailableError, NotFoundError
from engine.jobs.history import JobFacts, JobFilter, JobHistory
from engine.jobs.job_changes import JobChanges
from engine.jobs.job_clock import JobClock
from engine.jobs.lease_queue import LeaseQueue
from engine.jobs.leases import LeaseTable
from engine.jobs.queue_link import QueueLink
from engine.jobs.queue_records import LiveRecord
from engine.jobs.spec import check_job_id
from engine.jobs.states import JobState
from engine.jobs.views import JobView, build_view, show_progress
from engine.jobs.watching import JobWatch

MOST_PER_PAGE = 1_000
_MOST_ATTEMPTS = 200
"""Read of a job: with long stacks some 7 MB, more than a message can hold."""


@attrs.frozen
class JobPage:
    """Some jobs, latest first, and where the next page begins; empty at the end."""

    jobs: tuple[JobView, ...]
    next_before: str


@attrs.frozen
class PoolStats:
    """Jobs of a pool by where they stand. Dead ones: until their results expire."""

    ready: int
    delayed: int
    leased: int
    dead: int
    oldest_ready_age_s: float | None


@attrs.frozen
class QueueStats:
    """The state of the queue."""

    by_pool: dict[str, PoolStats]


class JobReading:
    """Used from the Trio thread."""

    def __init__(
        self,
        history: JobHistory,
        queue: LeaseQueue,
        link: QueueLink,
        leases: LeaseTable,
        changes: JobChanges,
        clock: JobClock,
    ) -> None:
        self._history = history
        self._queue = queue
        self._link = link
        self._leases = leases
        self._changes = changes
        self._clock = clock

    async def get(self, job_id: str) -> JobView:
        """Return a job with all its attempts; see `Jobs.get`."""
        check_job_id(job_id)
        while True:
            lease = self._leases.get(job_id)
            facts = (await self._history.fetch_facts([job_id])).get(job_id)
            if facts is None:
                raise NotFoundError("job", job_id)
            attempts = await self._history.fetch_attempts(job_id, _MOST_ATTEMPTS)
            # If it ended meanwhile, what was read is from before.
            if lease is None or facts.outcome is not None or self._leases.get(job_id) is lease:
                break
        live = await self._read_live([facts])
        return build_view(
            facts,
            lease=self._leases.get(job_id),
            live=live.get(job_id),
            now_us=self._clock.now_us(),
            attempts=attempts,
        )

    async def follow(self, job_id: str, seen: JobView | None) -> JobView:
        """Return a job to a watcher: by memory alone while only its progress can have changed."""
        lease = self._leases.get(job_id)
        if (
            seen is not None
            and lease is not None
            and seen.state is JobState.RUNNING
            and (seen.run, seen.attempt) == (lease.job.run, lease.job.attempt)
        ):
            return show_progress(seen, lease)
        return await self.get(job_id)

    async def list(self, wanted: JobFilter, before: str, most: int) -> JobPage:
        """Return a page of jobs; see `Jobs.list`."""
        most = min(most, MOST_PER_PAGE)
        unfinished = wanted.state is not None and not wanted.state.is_final
        found: list[JobView] = []
        while True:
            ids = await self._history.fetch_page(
                wanted, unfinished=unfinished, before=before, most=most
            )
            views = await self._view_all(ids)
            for view in views:
                if wanted.state in (None, view.state):
                    found.append(view)
                    if len(found) == most:
                        return JobPage(tuple(found), view.job_id)
            if len(ids) < most:
                return JobPage(tuple(found), "")
            before = ids[-1]

    def watch(self, job_id: str) -> JobWatch:
        """Follow a job; see `Jobs.watch`."""
        check_job_id(job_id)
        return JobWatch(job_id, self.follow, self._changes)

    async def stats(self) -> QueueStats:
        """Return depths and ages of all pools; see `Jobs.stats`."""
        depths = await self._link.call(self._queue.stats)
        now_ms = self._clock.now_us() // 1000
        return QueueStats(
            {
                pool: PoolStats(
                    ready=depth.ready + depth.reserved,
                    delayed=depth.delayed,
                    leased=depth.leased,
                    dead=depth.dead,
                    oldest_ready_age_s=None
                    if depth.oldest_order_ms is None
                    else max(0, now_ms - depth.oldest_order_ms) / 1000,
                )
                for pool, depth in depths.items()
            }
        )

    async def _view_all(self, job_ids: Sequence[str]) -> Sequence[JobView]:
        facts = await self._history.fetch_facts(job_ids)
        live = await self._read_live(list(facts.values()))
        now_us = self._clock.now_us()
        return [
            build_view(
                facts[job_id],
                lease=self._leases.get(job_id),
                live=live.get(job_id),
                now_us=now_us,
            )
            for job_id in job_ids
        ]

    async def _read_live(self, facts: Sequence[JobFacts]) -> dict[str, LiveRecord]:
        """Return what Redis says of the unfinished ones; nothing while it is away."""
        unfinished = [one.job_id for one in facts if one.outcome is None]
        if not unfinished or not self._link.is_open:
            return {}
        try:
            return await self._link.call(lambda: self._queue.read_live(unfinished))
        except BackendUnavailableError:
            return {}
