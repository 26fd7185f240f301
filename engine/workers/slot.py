"""One place for a worker: keeps it filled."""

import logging
import math
import secrets
from typing import Final

import trio

from engine import metrics
from engine.clock import read_clock_us
from engine.errors import FailedPreconditionError, UnavailableError
from engine.jobs import AttemptEnd, BackTo, Cause, Jobs
from engine.workers.checks import Order
from engine.workers.host import Host, SpawnSpec, WorkerProcess
from engine.workers.live_worker import LiveWorker, SlotName
from engine.workers.restarts import Pause, Restarts
from engine.workers.stack_text import summarize_stack
from engine.workers.supervisor_settings import SupervisorSettings
from engine.workers.views import LastEnd, SlotState, WorkerView
from engine.workers.worker_journal import WorkerJournal

logger = logging.getLogger(__name__)

_STACKS_S: Final = 2.0
_CANCELLED_END_S: Final = 10.0
_KEPT_FOR_SLOT_S: Final = 1.0
"""A slot that starts again later than this does not keep its jobs from the others."""

_CHARGED: Final = frozenset({Cause.DIED, Cause.SILENT, Cause.STALLED, Cause.MEMORY})
"""Ends that are the doing of the job in hand, as far as anyone can tell."""
_NO_FAILURE: Final = frozenset({Cause.CANCELLED, Cause.RECYCLED, Cause.SHUTDOWN, Cause.HOST_LOST})
_AT_ONCE: Final = Pause(0.0, parked=False)
_DRAINED: Final = "the slot is drained"


class Slot:
    """Starts a worker, watches over it, takes back what it held when it ends, and starts another.

    Somebody runs `run`.
    """

    def __init__(
        self,
        name: SlotName,
        host: Host,
        jobs: Jobs,
        settings: SupervisorSettings,
        journal: WorkerJournal,
        roster: dict[str, LiveWorker],
        host_lost: trio.Event | None = None,
    ) -> None:
        """Make an empty slot.

        Args:
          roster: where workers are found by their ids while they live.
          host_lost: set when the host and all workers on it are given up.
        """
        self.name = name.name
        self.pool = name.pool
        self.worker: LiveWorker | None = None
        self.next_ready = trio.Event()
        """Set when the next worker has checked in."""
        self._host = host
        self._jobs = jobs
        self._settings = settings
        self._journal = journal
        self._roster = roster
        self._host_lost = host_lost
        self._stopping = trio.Event()
        self._drained = False
        self._changed = trio.Event()
        """Whether there is to be a worker has changed."""
        self._restarts = Restarts(
            intensity=settings.restart_intensity,
            period_s=settings.restart_period_s,
            backoff_max_s=settings.backoff_max_s,
            park_s=settings.park_s,
        )
        self._pause = _AT_ONCE
        self._starts_at_s = trio.current_time()
        self._stuck = False
        self._hopeless = False
        self._replaced = 0
        self._last_end: LastEnd | None = None
        self._shown: SlotState | None = None

    async def run(self) -> None:
        """Keep the slot filled until it is stopped and its worker has ended.

        Raises:
          UnavailableError, DataFileFailedError: nothing can be written any more.
        Cancellation: the worker is killed and its jobs go back to the queue first; bounded.
        """
        try:
            while await self._wait_for_turn():
                await self._fill()
                self.show()
        finally:
            # It may have been stopped after jobs went back to it, for a worker that never came.
            self._jobs.let_go(self.name)
            self._show(None)

    def stop(self) -> None:
        """Start no more workers, and have the one there is leave."""
        self._stopping.set()
        self._changed.set()
        self._have_leave("the slot is closed")

    @property
    def is_drained(self) -> bool:
        """Whether it is to be, or stay, without a worker until it is resumed."""
        return self._drained

    def drain(self) -> None:
        """Start no more workers until `resume`, and have the one there is leave after its job."""
        self._drained = True
        self._changed.set()
        # Jobs that were kept for the next worker here are anyone's.
        self._jobs.let_go(self.name)
        self._have_leave(_DRAINED)
        self.show()

    def resume(self) -> None:
        """Be filled again; a worker that was told to leave does so, and another follows."""
        self._drained = False
        self._changed.set()
        self.show()

    @property
    def host(self) -> str:
        """The name of the host it is on."""
        return self._host.name

    def view(self) -> WorkerView:
        """Return the slot as it is now."""
        worker = self.worker
        process = None if worker is None else worker.process
        job = None if worker is None else worker.job_in_hand()
        now_s = trio.current_time()
        waits = worker is None and not self._hopeless and not self._drained
        return WorkerView(
            slot=self.name,
            pool=self.pool,
            host=self._host.name,
            worker_id="" if worker is None else worker.worker_id,
            pid=None if process is None else process.pid,
            state=self._state(),
            job_id="" if job is None else job.job_id,
            lease_remaining_s=0.0 if worker is None else max(0.0, worker.lease.deadline_s - now_s),
            progress=0 if process is None else process.page().progress,
            memory_bytes=None if worker is None else worker.memory_bytes,
            restarts=self._replaced,
            last_end=self._last_end,
            starts_in_s=max(0.0, self._starts_at_s - now_s) if waits else 0.0,
        )

    def show(self) -> None:
        """Bring the metrics up to date."""
        self._show(self._state())

    async def _wait_for_turn(self) -> bool:
        """Wait until a worker is to be started; return False once the slot is stopped."""
        while not self._stopping.is_set():
            self._changed = trio.Event()
            if self._drained:
                # What its last worker left is anyone's, however that was to be.
                self._jobs.let_go(self.name)
            with trio.move_on_at(math.inf if self._drained else self._starts_at_s) as wait:
                await self._changed.wait()
            if wait.cancelled_caught and not self._is_closed:
                return True
        return False

    def _have_leave(self, reason: str) -> None:
        if self.worker is None:
            return
        self.worker.tell(Order.DRAIN)
        if self.worker.process is None:
            self.worker.give_up(Cause.SHUTDOWN, reason)

    async def _fill(self) -> None:
        """Start a worker and return when it has ended and nothing is left of it."""
        # Never used again, so that what comes late from one worker is not taken for another's.
        worker_id = f"{self.name}-{secrets.token_hex(4)}"
        worker = LiveWorker(
            worker_id,
            SlotName(self.name, self.pool),
            self._jobs,
            self._settings,
            ready=self.next_ready,
            host_lost=self._host_lost,
        )
        self.worker = self._roster[worker_id] = worker
        self.show()
        try:
            await self._live(worker)
            await self._end(worker)
            worker.ended.set()
        finally:
            if not worker.ended.is_set():
                await self._end_at_once(worker)
            self.worker = None
            self._roster.pop(worker_id, None)
            worker.ended.set()

    async def _end_at_once(self, worker: LiveWorker) -> None:
        """End a worker whose slot has been cancelled or has failed."""
        worker.give_up(Cause.SHUTDOWN, "the engine stops")
        self._stopping.set()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CANCELLED_END_S):
            await self._end(worker)

    async def _live(self, worker: LiveWorker) -> None:
        """Start the process; return when the worker has been given up."""
        pool = self.pool or "any"
        title = f"trellis worker {self.name} {pool}"
        try:
            with worker.starting:
                worker.process = await self._host.spawn(
                    SpawnSpec(worker.worker_id, self.name, pool, title)
                )
        except (UnavailableError, FailedPreconditionError) as error:
            self._hopeless = isinstance(error, FailedPreconditionError)
            worker.give_up(Cause.START_FAILED, str(error))
            return
        if worker.process is None:
            return
        self._journal.note("started", self._facts(worker))
        await worker.watch(worker.process)

    async def _end(self, worker: LiveWorker) -> None:
        """Make sure that nothing is left of a worker that was given up, and take its jobs back.

        May be begun again when it was interrupted.
        """
        given_up = worker.given_up
        assert given_up is not None
        # No check, job or result is exchanged with it from here on.
        await worker.close()
        stack, detail, lingers = "", given_up.detail, False
        if self._drained and given_up.cause is Cause.SHUTDOWN:
            detail = _DRAINED
        if worker.process is not None:
            if given_up.wants_stacks:
                stack = await _capture(worker.process)
                worker.note_stacks_taken()
            status = await worker.process.kill()
            if status.lingers:
                lingers, detail = True, f"{detail}; {status.describe()}"
            stack = stack or "\n".join(worker.process.last_output())
        cause = Cause.HOST_LOST if worker.is_host_lost else given_up.cause
        job = worker.last_job
        # Until it was killed it may have gone on, to jobs after the one it was given up for.
        begun = worker.begun()
        if cause is Cause.HOST_LOST:
            # Or since its host last told.
            begun = self._jobs.held(self.name)
            job = job or next(iter(begun), None)
        self._decide_restart(worker, cause, lingers=lingers)
        end = AttemptEnd(
            cause,
            detail,
            stack,
            charged=job is not None and cause in _CHARGED,
            worker_id=worker.worker_id,
            pid=None if worker.process is None else worker.process.pid,
            started_at_us=None if job is None else worker.began_us(job.token),
        )
        running = None if job is None else job.job_id
        await self._jobs.release(
            self.name,
            running=running,
            done=[one.job_id for one in begun if one != job],
            end=end,
            back_to=self._back_to(),
        )
        self._note_end(worker, end)

    def _decide_restart(self, worker: LiveWorker, cause: Cause, *, lingers: bool) -> None:
        now_s = trio.current_time()
        self._stuck = lingers
        # One that leaves before it has done anything would be replaced again and again.
        process = worker.process
        useless = cause is Cause.RECYCLED and process is not None and not process.page().begun
        useless = useless and worker.order is Order.CONTINUE
        if self._hopeless:
            self._pause = Pause(math.inf, parked=True)
        elif lingers:
            # It holds its memory, and what it waits for is likely to hold up the next one, too.
            self._pause = Pause(self._settings.park_s, parked=True)
        elif cause in _NO_FAILURE and not useless:
            self._pause = _AT_ONCE
        else:
            self._pause = self._restarts.on_failure(now_s)
        self._starts_at_s = now_s + self._pause.delay_s

    @property
    def _is_closed(self) -> bool:
        """Whether nobody follows the worker there is."""
        return self._drained or self._stopping.is_set()

    def _back_to(self) -> BackTo:
        wait = self._is_closed or self._pause.delay_s > _KEPT_FOR_SLOT_S
        return "queue" if wait else "slot"

    def _note_end(self, worker: LiveWorker, end: AttemptEnd) -> None:
        job_id = "" if worker.last_job is None else worker.last_job.job_id
        ended_at_us = read_clock_us()
        self._last_end = LastEnd(end.cause, end.detail, end.stack, job_id, ended_at_us)
        if self.next_ready.is_set():
            self.next_ready = trio.Event()
        if not self._is_closed:
            self._replaced += 1
            metrics.WORKER_RESTARTS.labels(end.cause).inc()
        facts = self._facts(worker)
        self._journal.note(
            "ended", {**facts, "cause": end.cause, "detail": end.detail, "stack": end.stack or None}
        )
        level = logging.INFO if end.cause in _NO_FAILURE else logging.WARNING
        told = {"cause": end.cause, "detail": end.detail, "job_id": job_id}
        told["at"] = summarize_stack(end.stack)
        shown = {name: fact for name, fact in told.items() if fact}
        logger.log(level, "worker ended", extra={"slot": self.name, **shown, **facts})
        if self._pause.parked and not self._stuck and not self._hopeless:
            logger.error(
                "workers of a slot fail too often; it is parked",
                extra={"slot": self.name, "delay_s": self._pause.delay_s, "cause": end.cause},
            )

    def _facts(self, worker: LiveWorker) -> dict[str, str | int | None]:
        return {
            "worker_id": worker.worker_id,
            "slot": self.name,
            "pool": self.pool,
            "host": self._host.name,
            "pid": None if worker.process is None else worker.process.pid,
        }

    def _state(self) -> SlotState:
        worker = self.worker
        if self._drained:
            return SlotState.DRAINED if worker is None else SlotState.DRAINING
        if worker is None:
            if self._stuck:
                return SlotState.STUCK
            return SlotState.PARKED if self._pause.parked else SlotState.WAITING
        if worker.given_up is not None or worker.order is not Order.CONTINUE:
            return SlotState.LEAVING
        if not worker.ready.is_set():
            return SlotState.STARTING
        return SlotState.IDLE if worker.job_in_hand() is None else SlotState.RUNNING

    def _show(self, state: SlotState | None) -> None:
        if state is self._shown:
            return
        if self._shown is not None:
            metrics.WORKERS.labels(self._shown).dec()
        if state is not None:
            metrics.WORKERS.labels(state).inc()
        self._shown = state


async def _capture(process: WorkerProcess) -> str:
    with trio.move_on_after(_STACKS_S):
        return await process.capture_stacks()
    return f"no stacks within {_STACKS_S:g} s"
