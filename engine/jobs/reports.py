"""Takes in what workers and supervisors say of the jobs they hold."""

import contextlib
import random
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import msgspec
import trio

from engine import metrics, tracing
from engine.errors import StaleTokenError, TrellisError
from engine.jobs.endings import (
    Ending,
    end_unbegun,
    end_with_failure,
    end_with_loss,
    end_with_result,
    ended_held,
)
from engine.jobs.hooks import HookError, Hooks
from engine.jobs.job_clock import JobClock
from engine.jobs.leases import Lease, LeaseTable
from engine.jobs.retries import decide_after_error, decide_after_loss
from engine.jobs.settings import JobsSettings
from engine.jobs.settlement import Settlement, free, mark
from engine.jobs.spec import (
    MOST_RESULT_BYTES,
    AttemptEnd,
    JobFailure,
    JobResult,
    ResultVerdict,
)
from engine.jobs.states import Cause, JobState
from engine.plain_json import NotPlainError, check_plain

_REMEMBERED = 4_096
"""Reports that can be repeated, should their answer have been lost, and are answered the same."""


class ResultRefusedError(TrellisError):
    """A result is not acceptable."""


class Reports:
    """Ends leases as their holders report. Used from the Trio thread."""

    def __init__(
        self,
        leases: LeaseTable,
        settlement: Settlement,
        hooks: Hooks,
        clock: JobClock,
        settings: JobsSettings,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Make the desk.

        Args:
          draw: a random number in [0, 1), for the jitter of retries.
        """
        self._leases = leases
        self._settlement = settlement
        self._hooks = hooks
        self._clock = clock
        self._settings = settings
        self._draw = draw
        self._verdicts: OrderedDict[str, ResultVerdict] = OrderedDict()

    async def complete(self, slot: str, results: Sequence[JobResult]) -> list[ResultVerdict]:
        """Take results; see `Jobs.complete`."""
        started_s = trio.current_time()
        by_token = {result.token: result for result in results}
        held = await self._hold(slot, [(one.job_id, one.token) for one in by_token.values()])
        async with contextlib.AsyncExitStack() as stack:
            try:
                types = [lease.job.job_type for lease in held]
                await stack.enter_async_context(self._hooks.holding(types))
                endings = [await self._accept(one, by_token[one.job.token]) for one in held]
            except BaseException:
                for lease in held:
                    free(lease)
                raise
            await self._settle(endings)
        metrics.JOBS_COMPLETE_SECONDS.observe(trio.current_time() - started_s)
        return [self._verdict(result.job_id, result.token) for result in results]

    async def fail(self, slot: str, failure: JobFailure) -> JobState:
        """Take an error; see `Jobs.fail`."""
        for lease in await self._hold(slot, [(failure.job_id, failure.token)]):
            await self._settle([self._fail(lease, failure)])
        verdict = self._verdict(failure.job_id, failure.token)
        if verdict.state is None:
            raise StaleTokenError(failure.job_id)
        return verdict.state

    async def release(
        self,
        slot: str,
        *,
        running: str | None,
        done: Collection[str],
        end: AttemptEnd,
        to_slot: bool,
    ) -> None:
        """Take back all that a slot holds; see `Jobs.release`."""
        while True:
            leases = self._leases.of_slot(slot)
            under_way = next((one.ending for one in leases if one.ending is not None), None)
            if under_way is None:
                break
            await under_way.wait()
        for lease in leases:
            mark(lease)
        for_done = _undelivered(end)
        await self._settlement.settle(
            [
                self._take_back(lease, True, for_done, to_slot=to_slot)
                if lease.job.job_id in done
                else self._take_back(lease, lease.job.job_id == running, end, to_slot=to_slot)
                for lease in leases
            ]
        )

    async def give_back(self, slot: str, tokens: Sequence[tuple[str, str]]) -> None:
        """Take back jobs that have not been begun; see `Jobs.give_back`."""
        held = await self._hold(slot, tokens)
        end = AttemptEnd(Cause.CANCELLED)
        await self._settlement.settle(
            [self._take_back(lease, False, end, to_slot=False) for lease in held]
        )

    async def _hold(self, slot: str, tokens: Sequence[tuple[str, str]]) -> list[Lease]:
        """Mark the leases that tokens are of; leave out those that are not, or no longer, held."""
        while True:
            held = []
            for job_id, token in tokens:
                with contextlib.suppress(StaleTokenError):
                    held.append(self._leases.check(slot, job_id, token))
            # Nothing is marked before all is free: two reports of the same jobs, one the repetition
            # of the other, would else wait for each other.
            under_way = next((lease.ending for lease in held if lease.ending is not None), None)
            if under_way is None:
                break
            await under_way.wait()
        for lease in held:
            mark(lease)
        return held

    async def _accept(self, lease: Lease, result: JobResult) -> Ending:
        """Return the end that a result means: a good one, if it is what it should be."""
        try:
            value = _read_result(result)
            with tracing.under(lease.span):
                operations = await self._hooks.run_completion(lease.job, value)
        except (ResultRefusedError, HookError) as error:
            return self._refuse(lease, result, error)
        return end_with_result(
            lease,
            result,
            operations,
            partial(self._refuse, lease, result),
            self._settings,
            self._clock.now_us(),
        )

    def _refuse(self, lease: Lease, result: JobResult, error: TrellisError) -> Ending:
        failure = JobFailure(
            job_id=result.job_id,
            token=result.token,
            code="result_refused",
            message=str(error),
            worker_id=result.worker_id,
            pid=result.pid,
            started_at_us=result.started_at_us,
        )
        return self._fail(lease, failure)

    def _fail(self, lease: Lease, failure: JobFailure) -> Ending:
        decision = decide_after_error(
            lease.facts,
            self._settings,
            permanent=failure.permanent,
            out_of_reach=failure.out_of_reach,
            retry_after_s=failure.retry_after_s,
            jitter=self._draw(),
        )
        return self._with_hook(
            end_with_failure(lease, failure, decision, self._settings, self._clock.now_us())
        )

    def _take_back(self, lease: Lease, begun: bool, end: AttemptEnd, *, to_slot: bool) -> Ending:
        if not begun and not lease.cancel_requested:
            return end_unbegun(lease, to_slot=to_slot)
        decision = decide_after_loss(lease.facts, charged=begun and end.charged)
        if decision.final is JobState.CANCELLED:
            end = attrs.evolve(end, cause=Cause.CANCELLED, charged=False)
        return self._with_hook(
            end_with_loss(
                lease, end, decision, self._settings, self._clock.now_us(), to_slot=to_slot
            )
        )

    def _with_hook(self, ending: Ending) -> Ending:
        if ending.outcome is None:
            return ending
        operations = self._hooks.run_failure(ended_held(ending.lease.job, ending.outcome))
        if not operations:
            return ending
        return attrs.evolve(ending, operations=operations, otherwise=lambda _: ending)

    async def _settle(self, endings: Sequence[Ending]) -> None:
        """End leases as their holder reports, and remember what the holder is told."""
        for one in await self._settlement.settle(endings):
            job = one.ending.lease.job
            succeeded = one.ending.state is JobState.SUCCEEDED
            reason = "" if succeeded else str(one.refusal or "the job ended otherwise")
            self._verdicts[job.token] = ResultVerdict(
                job.job_id, succeeded, one.ending.state, reason
            )
        while len(self._verdicts) > _REMEMBERED:
            self._verdicts.popitem(last=False)

    def _verdict(self, job_id: str, token: str) -> ResultVerdict:
        verdict = self._verdicts.get(token)
        return verdict or ResultVerdict(job_id, False, None, str(StaleTokenError(job_id)))


def _undelivered(end: AttemptEnd) -> AttemptEnd:
    """Return the end of an attempt that was done before its worker ended: not its doing."""
    return attrs.evolve(
        end,
        detail=f"its outcome, if it came to one, was lost with the worker: {end.detail}",
        stack="",
        charged=False,
        started_at_us=None,
    )


def _read_result(result: JobResult) -> Mapping[str, Any]:
    """Return a result's value. Raises ResultRefusedError."""
    size_bytes = len(result.result_json.encode())
    if size_bytes > MOST_RESULT_BYTES:
        raise ResultRefusedError(
            f"the result has {size_bytes} bytes; at most {MOST_RESULT_BYTES} are taken"
        )
    try:
        value = msgspec.json.decode(result.result_json)
        check_plain(value)
    except msgspec.DecodeError as error:
        raise ResultRefusedError(f"the result is not JSON: {error}") from error
    except (NotPlainError, RecursionError) as error:
        raise ResultRefusedError(f"the result cannot be kept: {error}") from error
    if not isinstance(value, dict):
        raise ResultRefusedError("the result is not a JSON object")
    return value
