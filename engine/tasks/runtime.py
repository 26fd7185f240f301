"""The main thread of a worker: takes jobs, does them, hands in how they ended."""

import logging
import os
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import msgspec

from engine.plain_json import check_plain
from engine.tasks.batch import IN_HAND_S, BatchSize
from engine.tasks.cancel import IDLE, Cancellation
from engine.tasks.context import JobContext
from engine.tasks.errors import (
    JobCancelled,
    JobHandedBack,
    PermanentJobError,
    describe_failure,
)
from engine.tasks.hand import Callers, Done, Failed, Hand, Job, Outcome
from engine.tasks.handlers import HandlerTable
from engine.tasks.job_span import JobSpan
from engine.tasks.link import EngineLink, EngineUnreachableError, GivenUpError, Order, hand_in
from engine.tasks.orders import Orders
from engine.tasks.own_state import OwnState
from engine.tasks.progress import Progress
from engine.workers.exits import WorkerExit
from engine.workers.page import PageWriter, Phase

logger = logging.getLogger(__name__)

_WAIT_S: Final = 10.0
_RESULT_BYTES_MAX: Final = 1 << 20
_FIRST_DELAY_S: Final = 0.02
_LONGEST_DELAY_S: Final = 1.0


@attrs.frozen(kw_only=True)
class RuntimeLimits:
    """When a worker asks to be replaced; None: never."""

    memory_soft_bytes: int | None = None
    recycle_after_jobs: int | None = None


class Runtime:
    """Does jobs until told to leave, or until it had better be replaced."""

    def __init__(
        self,
        link: EngineLink,
        table: HandlerTable,
        hand: Hand,
        progress: Progress,
        cancellation: Cancellation,
        orders: Orders,
        page: PageWriter,
        own_state: OwnState,
        limits: RuntimeLimits,
        worker_id: str = "",
    ) -> None:
        """Speak through `link`, which is the main thread's alone."""
        self._link = link
        self._table = table
        self._hand = hand
        self._progress = progress
        self._cancellation = cancellation
        self._orders = orders
        self._page = page
        self._own_state = own_state
        self._limits = limits
        self._worker_id = worker_id
        self._batch = BatchSize()
        self._pid = os.getpid()
        self.jobs_done = 0

    def run(self) -> WorkerExit:
        """Work until there is a reason to leave; return it.

        What was taken and not begun goes back to the queue with the worker's end.
        """
        try:
            while self._orders.reason_to_leave is None:
                self._take()
                self._do_all()
                self._consider_leaving()
            self._hand_in()
        except GivenUpError as error:
            logger.warning("the engine has given this worker up: %s", error)
            return WorkerExit.LEASE_LOST
        self._page.set_phase(Phase.LEAVING)
        assert self._orders.reason_to_leave is not None
        return self._orders.reason_to_leave

    def _take(self) -> None:
        self._page.set_phase(Phase.IDLE)
        for delay_s in _delays():
            if self._orders.reason_to_leave is not None:
                return
            try:
                with self._cancellation.running(IDLE):
                    jobs, order = self._link.take_jobs(self._most(), _WAIT_S)
            except JobCancelled:
                # What was on its way here goes back to the queue with the worker's end.
                self._link.close()
                return
            except EngineUnreachableError as error:
                logger.warning("cannot take jobs: %s", error)
                self._orders.pause(delay_s)
                continue
            self._hand.take(jobs)
            if order is Order.LEAVE:
                self._orders.leave(WorkerExit.LEFT)
            elif order is Order.DIE:
                raise GivenUpError("told so when asking for jobs")
            return

    def _most(self) -> int:
        """Return how many jobs to take: no more than may still be done here."""
        most = self._batch.most()
        limit = self._limits.recycle_after_jobs
        return most if limit is None else min(most, limit - self.jobs_done)

    def _do_all(self) -> None:
        """Do what is in hand. An outcome does not wait for more than the work to be in hand."""
        began_s = time.monotonic()
        while self._orders.reason_to_leave is None:
            job = self._hand.next_job()
            if job is None:
                break
            job_began_s = time.monotonic()
            outcome = self._do(job)
            if outcome is None:
                self._give_back(job)
                continue
            self._hand.put([outcome])
            self.jobs_done += 1
            now_s = time.monotonic()
            self._batch.note(now_s - job_began_s)
            if now_s - began_s > IN_HAND_S:
                self._hand_in()
                began_s = time.monotonic()
        self._hand_in()

    def _do(self, job: Job) -> Outcome | None:
        """Do one job, whatever it does; None if it hands itself back."""
        interrupted = False
        try:
            self._hand.running = job
            self._progress.begin(job.token)
            self._orders.begin_job()
            with JobSpan(job, self._worker_id), self._cancellation.running(job.token):
                result = self._call(job)
            return Done(job, result)
        except JobHandedBack:
            return None
        except JobCancelled as error:
            interrupted = True
            return Failed(job, describe_failure(error))
        except BaseException as error:  # noqa: BLE001 - a job's code raises what it likes
            return Failed(job, describe_failure(error))
        finally:
            if os.getpid() != self._pid:
                # A child of the job that came back where it must not: there is one worker.
                os._exit(0)
            self._orders.end_job()
            self._progress.end()
            self._hand.running = None
            self._hand.callers = Callers()
            self._cancellation.forget(job.token)
            if interrupted:
                # Between any two steps, of a library too, or of a call to the engine.
                self._link.close()
                self._orders.leave(WorkerExit.RECYCLED)

    def _call(self, job: Job) -> bytes:
        try:
            payload = msgspec.json.decode(job.payload_json, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise PermanentJobError(
                "bad_payload", f"the payload is no JSON object: {error}"
            ) from None
        handler = self._table.find(job.job_type)
        logger.debug("attempt %d begins", job.attempt)
        context = JobContext(
            job,
            payload,
            self._own_state.scratch,
            self._link,
            self._progress,
            self._cancellation,
            lambda: self._orders.reason_to_leave is not None,
            self._act_for,
        )
        return _encode_result(handler(context))

    def _act_for(self, callers: Callers) -> None:
        self._hand.callers = callers

    def _give_back(self, job: Job) -> None:
        try:
            self._link.give_back([job])
        except EngineUnreachableError as error:
            # It is still this worker's: the next call for jobs brings it again, or the worker's
            # end takes it back.
            logger.warning("cannot give a job back: %s", error)

    def _hand_in(self) -> None:
        """Hand in all outcomes, trying until they are taken or nobody wants them any more."""
        self._page.set_phase(Phase.DELIVERING)
        for delay_s in _delays():
            try:
                with self._hand.handing_in:
                    hand_in(self._hand, self._link)
            except EngineUnreachableError as error:
                logger.warning("cannot hand in outcomes: %s", error)
                # Not cut short by an order to leave: the work is done, the engine will return.
                # If it does not, the checking thread ends this.
                time.sleep(delay_s)
            else:
                return

    def _consider_leaving(self) -> None:
        reason = self._own_state.reason_to_recycle(self._limits.memory_soft_bytes)
        most = self._limits.recycle_after_jobs
        if reason is None and most is not None and self.jobs_done >= most:
            reason = f"{self.jobs_done} jobs done"
        if reason is not None:
            logger.info("asking to be replaced: %s", reason)
            self._orders.leave(WorkerExit.RECYCLED)


def _encode_result(result: Mapping[str, Any] | None) -> bytes:
    if result is not None and not isinstance(result, Mapping):
        raise PermanentJobError(
            "bad_result", f"the handler returned a {type(result).__name__}, not a mapping"
        )
    if not result:
        return b"{}"
    try:
        # What is encoded at once would have null in place of NaN, and nobody would know.
        plain = msgspec.to_builtins(dict(result), str_keys=True)
        check_plain(plain)
        encoded = msgspec.json.encode(plain)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise PermanentJobError("bad_result", f"the result cannot be sent: {error}") from None
    if len(encoded) > _RESULT_BYTES_MAX:
        raise PermanentJobError(
            "bad_result",
            f"the result is {len(encoded)} bytes of JSON, more than {_RESULT_BYTES_MAX}",
        )
    return encoded


def _delays() -> Iterator[float]:
    """Yield how long to wait after each failure, for ever."""
    delay_s = _FIRST_DELAY_S
    while True:
        yield delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        delay_s = min(2 * delay_s, _LONGEST_DELAY_S)
