"""Brings the queue in Redis in line with what the engine knows."""

import logging
import secrets
from collections.abc import Sequence, Set
from functools import partial

import trio

from engine import metrics
from engine.jobs.endings import ended_unheld
from engine.jobs.history import JobHistory
from engine.jobs.hooks import Hooks
from engine.jobs.job_clock import JobClock
from engine.jobs.job_spans import tell_lost_attempt
from engine.jobs.journal import EndedAttempt, write_ended, write_outcomes
from engine.jobs.lease_queue import LeaseQueue
from engine.jobs.leases import LeaseTable
from engine.jobs.queue_link import BATCH_CHANGES, QueueLink
from engine.jobs.queue_records import Change
from engine.jobs.reconciliation import Known, Plan, plan_found, plan_unfinished
from engine.jobs.settings import JobsSettings
from engine.jobs.writing import submit_or_without
from engine.records import Operation, RequestWriter
from engine.tracing import trace_id_of

logger = logging.getLogger(__name__)

_PAGE_JOBS = 2_000
"""Each page costs a look at the whole log, and holds that many payloads in memory."""


class Rebuilding:
    """Used from the Trio thread, by one task, while no other call of the queue is under way."""

    def __init__(
        self,
        queue: LeaseQueue,
        history: JobHistory,
        writer: RequestWriter,
        leases: LeaseTable,
        hooks: Hooks,
        clock: JobClock,
        settings: JobsSettings,
        *,
        engine_mark: str,
    ) -> None:
        self._queue = queue
        self._history = history
        self._writer = writer
        self._leases = leases
        self._hooks = hooks
        self._clock = clock
        self._settings = settings
        self._engine_mark = engine_mark
        self._is_first = True

    async def rebuild(self, link: QueueLink) -> None:
        """Take the queue over and make it what it should be, a page of jobs at a time.

        The data file says what was accepted and what has ended, the leases say who works on what,
        the pending changes say what was decided since. Repeating this is harmless.

        Raises:
          BackendUnavailableError, QueueLostError: to be begun again.
          StoreError, ResourceExhaustedError: the data file does not take or give what is needed;
            likewise.
        """
        epoch = secrets.token_hex(8)
        existed = await link.call_directly(lambda: self._queue.adopt(epoch))
        self._queue.add_pools(await self._history.fetch_pools())
        unfinished, changed = await self._put_in_unfinished(link)
        changed += await self._take_out_finished(link, unfinished)
        self._is_first = False
        logger.info("queue whole", extra={"was_empty": not existed, "jobs_changed": changed})

    async def _put_in_unfinished(self, link: QueueLink) -> tuple[set[str], int]:
        """Return the jobs that were unfinished when looked at, and how many had to be changed."""
        seen: set[str] = set()
        changed, after = 0, ""
        while ids := await self._history.fetch_unfinished(after, _PAGE_JOBS):
            after = ids[-1]
            facts = await self._history.fetch_facts(ids)
            found = await link.call_directly(partial(self._queue.read_live, ids))
            # What has ended since the ids were read is dealt with by the other pass.
            unfinished = {key: one for key, one in facts.items() if one.outcome is None}
            seen.update(unfinished)
            plan = plan_unfinished(unfinished, found, self._known(link))
            await self._write(plan)
            changed += await self._apply(link, plan.changes)
        return seen, changed

    async def _take_out_finished(self, link: QueueLink, unfinished: Set[str]) -> int:
        changed = cursor = 0
        while True:
            read = partial(self._queue.read_page, cursor)
            cursor, page = await link.call_directly(read)
            found = {key: record for key, record in page.items() if key not in unfinished}
            facts = await self._history.fetch_facts(list(found))
            changed += await self._apply(link, plan_found(found, facts, self._known(link)))
            if not cursor:
                return changed

    def _known(self, link: QueueLink) -> Known:
        return Known(
            leases=self._leases,
            pending=link.pending(),
            engine_mark=self._engine_mark,
            now_us=self._clock.now_us(),
            settings=self._settings,
            is_first=self._is_first,
        )

    async def _write(self, plan: Plan) -> None:
        rows: list[Operation] = []
        of_hooks: list[Operation] = []
        if plan.lost:
            rows.append(write_ended(plan.lost, self._clock.now_us()))
        if plan.cancelled:
            rows.append(write_outcomes([outcome for _, outcome in plan.cancelled]))
            for facts, outcome in plan.cancelled:
                of_hooks.extend(self._hooks.run_failure(ended_unheld(facts, outcome)))
        if not rows:
            return
        with trio.CancelScope(shield=True):
            await submit_or_without(self._writer, rows, of_hooks)
        for attempt in plan.lost:
            tell_lost_attempt(attempt)
            _log_lost(attempt)
            metrics.JOB_ATTEMPTS.labels(str(attempt.end.cause)).inc()
        for facts, outcome in plan.cancelled:
            metrics.JOBS_FINISHED.labels(facts.job_type, str(outcome.state)).inc()

    async def _apply(self, link: QueueLink, changes: Sequence[Change]) -> int:
        for first in range(0, len(changes), BATCH_CHANGES):
            batch, now_us = changes[first : first + BATCH_CHANGES], self._clock.now_us()
            await link.call_directly(partial(self._queue.apply, batch, now_us))
        return len(changes)


def _log_lost(attempt: EndedAttempt) -> None:
    job = attempt.job
    ids = {"request_id": job.request_id, "trace_id": trace_id_of(job.traceparent)}
    facts = {"job_id": job.job_id, "job_type": job.job_type, "attempt": job.attempt}
    named = {name: known for name, known in ids.items() if known}
    logger.info("attempt lost with its engine", extra={**facts, "slot": attempt.slot, **named})
