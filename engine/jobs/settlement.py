"""Ends leases: on disk first, then in memory, then in Redis."""

import logging
from collections import Counter
from collections.abc import Sequence

import attrs
import trio

from engine import metrics, tracing
from engine.errors import TrellisError
from engine.jobs.endings import Ending
from engine.jobs.job_changes import JobChanges
from engine.jobs.job_clock import JobClock
from engine.jobs.job_spans import end_attempt
from engine.jobs.journal import write_ended, write_outcomes
from engine.jobs.leases import Lease, LeaseTable
from engine.jobs.queue_link import QueueLink
from engine.jobs.states import Cause
from engine.jobs.writing import submit_all
from engine.records import Operation, RequestWriter, WriteRequest

logger = logging.getLogger(__name__)


@attrs.frozen
class Settled:
    """A lease that has ended, in the way that was asked for or otherwise."""

    ending: Ending
    refusal: TrellisError | None = None
    """Why not in the way that was asked for."""


class Settlement:
    """Writes how leases end. Used from the Trio thread."""

    def __init__(
        self,
        writer: RequestWriter,
        link: QueueLink,
        leases: LeaseTable,
        changes: JobChanges,
        clock: JobClock,
    ) -> None:
        self._writer = writer
        self._link = link
        self._leases = leases
        self._changes = changes
        self._clock = clock

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        """End leases that their callers have marked as ending.

        What one of them cannot have written is no concern of the others. A lease whose end is
        refused, and that has no other, is over without one.

        Returns: the leases that have ended, in the given order.
        Raises:
          UnavailableError, DataFileFailedError: nothing more can be written; what has been is in
            the file, where the next engine finds it.
        Cancellation: none until all is written; the writer answers in bounded time.
        """
        try:
            # A commit is told whom it was for.
            only = endings[0].lease.span if len(endings) == 1 else tracing.NO_SPAN
            with trio.CancelScope(shield=True), tracing.under(only):
                settled = await self._write_all(endings)
                self._conclude(settled)
        finally:
            for ending in endings:
                free(ending.lease)
        return settled

    async def _write_all(self, endings: Sequence[Ending]) -> list[Settled]:
        settled: dict[str, Settled] = {}
        rest = [Settled(ending) for ending in endings]
        # What carries operations of a hook is written apart, so that only it is refused with them.
        groups = [
            [one for one in rest if not one.ending.operations],
            *([one] for one in rest if one.ending.operations),
        ]
        while groups:
            groups = [group for group in groups if group]
            results = await submit_all(
                self._writer, [request_of(group, self._clock.now_us()) for group in groups]
            )
            refused: list[list[Settled]] = []
            for group, error in zip(groups, results, strict=True):
                if error is None:
                    settled.update((one.ending.lease.job.job_id, one) for one in group)
                elif len(group) > 1:
                    refused.extend([one] for one in group)
                elif (otherwise := group[0].ending.otherwise) is not None:
                    refused.append([Settled(otherwise(error), error)])
                else:
                    self._give_up(group[0].ending.lease, error)
            groups = refused
        order = (ending.lease.job.job_id for ending in endings)
        return [settled[job_id] for job_id in order if job_id in settled]

    def _give_up(self, lease: Lease, error: TrellisError) -> None:
        """Let the data file say what has become of a job whose end it will not take.

        Above all, that the run has an end already.
        """
        logger.error(
            "end of a job refused", extra={"job_id": lease.job.job_id, "detail": str(error)}
        )
        self._leases.remove(lease)
        self._link.distrust(f"the end of the job {lease.job.job_id} was refused")

    def _conclude(self, settled: Sequence[Settled]) -> None:
        finished: Counter[tuple[str, str]] = Counter()
        causes: Counter[str] = Counter()
        for one in settled:
            ending = one.ending
            self._leases.remove(ending.lease)
            end_attempt(ending.lease.span, ending)
            if ending.attempt is not None:
                causes[str(ending.attempt.end.cause)] += 1
            elif ending.outcome is not None:
                causes[str(Cause.COMPLETED)] += 1
            if ending.outcome is not None:
                finished[ending.lease.job.job_type, str(ending.state)] += 1
        for (job_type, state), count in finished.items():
            metrics.JOBS_FINISHED.labels(job_type, state).inc(count)
        for cause, count in causes.items():
            metrics.JOB_ATTEMPTS.labels(cause).inc(count)
        self._link.put(*(one.ending.change for one in settled))
        for one in settled:
            self._changes.tell(one.ending.lease.job.job_id)


def mark(lease: Lease) -> None:
    """Let nobody else end a lease until it is free again."""
    assert lease.ending is None
    lease.ending = trio.Event()


def free(lease: Lease) -> None:
    """Wake those who wait for the end of a lease, whether or not it has come."""
    if lease.ending is not None:
        lease.ending.set()
        lease.ending = None


def request_of(group: Sequence[Settled], now_us: int) -> WriteRequest:
    """Return the rows of several endings as one transaction."""
    operations: list[Operation] = [
        operation for one in group for operation in one.ending.operations
    ]
    if attempts := [one.ending.attempt for one in group if one.ending.attempt is not None]:
        operations.append(write_ended(attempts, now_us))
    if outcomes := [one.ending.outcome for one in group if one.ending.outcome is not None]:
        operations.append(write_outcomes(outcomes))
    return WriteRequest(tuple(operations))
