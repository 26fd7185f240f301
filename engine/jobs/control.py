"""What operators ask of jobs: to cancel one, to run one again."""

import attrs
import trio

from engine import metrics
from engine.errors import FailedPreconditionError, NotFoundError, SchemaMismatchError
from engine.jobs.claims import Claims
from engine.jobs.endings import cancelled_outcome, ended_unheld, finish_change
from engine.jobs.history import JobFacts, JobHistory
from engine.jobs.hooks import Hooks, RetriedJob
from engine.jobs.job_changes import JobChanges
from engine.jobs.job_clock import JobClock
from engine.jobs.journal import write_note, write_outcomes
from engine.jobs.leases import Lease, LeaseTable
from engine.jobs.queue_link import QueueLink
from engine.jobs.queue_records import Enqueue
from engine.jobs.queued import queued_record, spec_of
from engine.jobs.settings import JobsSettings
from engine.jobs.spec import check_job_id
from engine.jobs.states import JobState
from engine.jobs.writing import submit_or_without
from engine.records import RequestWriter, WriteRequest


class Control:
    """Used from the Trio thread."""

    def __init__(
        self,
        writer: RequestWriter,
        history: JobHistory,
        link: QueueLink,
        leases: LeaseTable,
        claims: Claims,
        hooks: Hooks,
        changes: JobChanges,
        clock: JobClock,
        settings: JobsSettings,
    ) -> None:
        self._writer = writer
        self._history = history
        self._link = link
        self._leases = leases
        self._claims = claims
        self._hooks = hooks
        self._changes = changes
        self._clock = clock
        self._settings = settings
        # Asked for by people, so one at a time is enough, and no two decide on the same facts.
        self._deciding = trio.Lock()

    async def cancel(self, job_id: str) -> None:
        """Cancel a job; see `Jobs.cancel`."""
        check_job_id(job_id)
        async with self._deciding:
            while True:
                lease = self._leases.get(job_id)
                if lease is None:
                    if await self._cancel_unheld(job_id):
                        return
                elif await self._flag(lease):
                    return

    async def retry(self, job_id: str) -> None:
        """Start a new run of a job; see `Jobs.retry`."""
        check_job_id(job_id)
        async with self._deciding:
            facts = await self._fetch(job_id)
            if facts.outcome is None or self._leases.get(job_id) is not None:
                raise FailedPreconditionError(
                    f"the job {job_id} has not ended; cancel it first, or wait"
                )
            if facts.outcome.state is JobState.SUCCEEDED:
                raise FailedPreconditionError(f"the job {job_id} has succeeded; submit a new one")
            now_us = self._clock.now_us()
            facts = attrs.evolve(
                facts,
                run=facts.run + 1,
                attempt=0,
                failures=0,
                due_at_us=None,
                run_accepted_at_us=now_us,
            )
            again = RetriedJob(job_id, facts.run, facts.job_type, facts.payload_json)
            async with self._hooks.run_retry(again) as operations:
                note = write_note(job_id, facts.run, "retried", now_us)
                with trio.CancelScope(shield=True):
                    await self._writer.submit(WriteRequest((*operations, note)))
            self._link.put(Enqueue(job_id, queued_record(facts, now_us), spec_of(facts)))
            self._changes.tell(job_id)

    async def _flag(self, lease: Lease) -> bool:
        """Have a running job's worker told; False if the job is no longer held by it."""
        job = lease.job
        if not lease.cancel_requested:
            lease.cancel_requested = True
            lease.span.add_event("cancel requested")
            note = write_note(job.job_id, job.run, "cancel_requested", self._clock.now_us())
            # Kept, so that an engine that is killed now does not run the job again.
            with trio.CancelScope(shield=True):
                await self._writer.submit(WriteRequest((note,)))
            self._changes.tell(job.job_id)
        # What was decided before the flag was up may be that the job is tried again.
        while lease.ending is not None:
            await lease.ending.wait()
        return self._leases.get(job.job_id) is lease

    async def _cancel_unheld(self, job_id: str) -> bool:
        """End a job that nobody holds; False if somebody has come to hold it."""
        self._claims.bar(job_id)
        ended_run = None
        try:
            facts = await self._fetch(job_id)
            # Until the bar was put up it could be claimed.
            if self._leases.get(job_id) is not None:
                return False
            if facts.outcome is None:
                with trio.CancelScope(shield=True):
                    await self._end(facts)
                ended_run = facts.run
        except SchemaMismatchError:
            # Unless the run has ended meanwhile: rebuilding keeps promises of an earlier engine.
            if (await self._fetch(job_id)).outcome is None:
                raise
        finally:
            if ended_run is None:
                self._claims.let_go(job_id)
            else:
                self._claims.note_ended(job_id, ended_run)
        return True

    async def _end(self, facts: JobFacts) -> None:
        now_us = self._clock.now_us()
        outcome = cancelled_outcome(facts, now_us)
        operations = self._hooks.run_failure(ended_unheld(facts, outcome))
        await submit_or_without(self._writer, [write_outcomes([outcome])], operations)
        self._link.put(finish_change(outcome, facts.pool, "", self._settings, now_us))
        metrics.JOBS_FINISHED.labels(facts.job_type, str(outcome.state)).inc()
        self._changes.tell(facts.job_id)

    async def _fetch(self, job_id: str) -> JobFacts:
        facts = (await self._history.fetch_facts([job_id])).get(job_id)
        if facts is None:
            raise NotFoundError("job", job_id)
        return facts
