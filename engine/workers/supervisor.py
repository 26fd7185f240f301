"""Keeps every slot filled with a worker that lives and works."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from itertools import count

import trio

from engine import metrics
from engine.errors import (
    FailedPreconditionError,
    NotFoundError,
    StaleTokenError,
    UnavailableError,
)
from engine.jobs import Cause, ClaimedJob, JobFailure, JobResult, Jobs, JobState, ResultVerdict
from engine.records import RequestWriter
from engine.workers.checks import CheckReply, CheckReport, Order, TakeReply
from engine.workers.chosen_slots import DrainGuard, choose_slots
from engine.workers.host import Host
from engine.workers.live_worker import LiveWorker, SlotName
from engine.workers.remote_host import RemoteHost
from engine.workers.remote_messages import Join, Welcome
from engine.workers.remote_stream import converse_with_agent
from engine.workers.rolling_restart import RollingRestart
from engine.workers.slot import Slot
from engine.workers.supervisor_settings import SupervisorSettings
from engine.workers.views import WorkerView
from engine.workers.worker_journal import WorkerJournal
from proto.trellis.v1 import workers_pb2 as pb

logger = logging.getLogger(__name__)

_JOURNAL_CLOSE_S = 2.0


class Supervisor:
    """All slots, those of this machine and those of hosts that have joined.

    Used from the Trio thread only. Somebody runs `run`.
    """

    def __init__(
        self,
        settings: SupervisorSettings,
        jobs: Jobs,
        host: Host,
        writer: RequestWriter,
        welcome: Welcome | None = None,
    ) -> None:
        """Make the engine's own slots.

        Args:
          host: where they start workers.
          welcome: what agents of other hosts are told; None: other hosts are turned away.
        """
        self._settings = settings
        self._jobs = jobs
        self._welcome = welcome
        self._journal = WorkerJournal(writer)
        self._roster: dict[str, LiveWorker] = {}
        self._slots: dict[str, Slot] = {}
        self._remote: dict[str, RemoteHost] = {}
        self._nursery: trio.Nursery | None = None
        self._drain_began_s: float | None = None
        self._all_stopped = trio.Event()
        self._guards: list[DrainGuard] = []
        self._rolling = RollingRestart(start_timeout_s=settings.start_timeout_s)
        for name, pool in settings.slots:
            self._slots[name] = self._new_slot(SlotName(name, pool), host)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the slots filled until `drain` has emptied them.

        Raises:
          UnavailableError, DataFileFailedError: nothing can be written any more.
        Cancellation: workers are killed and their jobs go back to the queue first; bounded.
        """
        async with trio.open_nursery() as outer:
            outer.start_soon(self._write_journal)
            try:
                with (
                    metrics.WORKER_MEMORY_BYTES.shown_by(self._read_memory_bytes),
                    metrics.WORKER_CHECK_AGE_SECONDS.shown_by(self._read_check_ages_s),
                ):
                    async with trio.open_nursery() as self._nursery:
                        for slot in [*self._slots.values()]:
                            self._nursery.start_soon(self._run_slot, slot)
                        self._nursery.start_soon(self._rolling.run)
                        task_status.started()
                        await self._all_stopped.wait()
                        self._nursery.cancel_scope.cancel()
            finally:
                self._nursery = None
                self._journal.close()

    def begin_drain(self) -> None:
        """Have idle workers leave at once, the others at the end of their jobs."""
        if self._drain_began_s is not None:
            return
        self._drain_began_s = trio.current_time()
        self._rolling.clear()
        for slot in self._slots.values():
            slot.stop()
        self._look_if_stopped()

    async def drain(self, grace_s: float) -> None:
        """Empty all slots.

        Jobs of workers that have not left `grace_s` seconds after the drain was begun, here or
        before, go back to the queue uncharged.

        Cancellation: a checkpoint; workers go on leaving, and cancelling `run` ends them.
        """
        self.begin_drain()
        assert self._drain_began_s is not None
        with trio.move_on_at(self._drain_began_s + grace_s):
            await self._all_stopped.wait()
            return
        for worker in [*self._roster.values()]:
            worker.give_up(Cause.SHUTDOWN, f"it had not left after {grace_s:g} s")
        await self._all_stopped.wait()

    @property
    def _draining(self) -> bool:
        return self._drain_began_s is not None

    def check(self, report: CheckReport) -> CheckReply:
        """Take a worker's check and tell it what to do.

        Raises:
          NotFoundError: it is not, or no longer, one of the engine's.
        """
        reply = self._find(report.worker_id).check(report)
        slot = self._slot_of(report.worker_id)
        if slot is not None:
            slot.show()
        return reply

    async def take_jobs(self, worker_id: str, most: int, wait_s: float) -> TakeReply:
        """Hand up to `most` jobs to a worker; see `Jobs.claim`. Raises as `check`."""
        return await self._find(worker_id).take_jobs(most, wait_s)

    async def complete(self, worker_id: str, results: Sequence[JobResult]) -> list[ResultVerdict]:
        """Take a worker's results; see `Jobs.complete`. Raises as `check`."""
        return await self._find(worker_id).complete(results)

    async def fail(self, worker_id: str, failure: JobFailure) -> JobState:
        """Take an error of a worker's job; see `Jobs.fail`. Raises as `check`, too."""
        return await self._find(worker_id).fail(failure)

    async def give_back(self, worker_id: str, tokens: Sequence[tuple[str, str]]) -> None:
        """Take back jobs, given as id and token, that a worker has not begun. Raises as `check`."""
        await self._find(worker_id).give_back(tokens)

    def require_job(self, worker_id: str, job_id: str, token: str) -> ClaimedJob:
        """Return a job that a worker holds.

        Raises:
          NotFoundError: as `check`.
          StaleTokenError: it does not hold the job.
        """
        return self._find(worker_id).require_job(job_id, token)

    def holds_job(self, worker_id: str, job_id: str, token: str) -> bool:
        """Return whether a worker holds a job."""
        try:
            self.require_job(worker_id, job_id, token)
        except (NotFoundError, StaleTokenError):
            return False
        return True

    def is_relieved(self, worker_id: str) -> bool:
        """Return whether others are to do what a worker does: it is replaced, or drained."""
        worker, slot = self._roster.get(worker_id), self._slot_of(worker_id)
        is_drained = slot is not None and slot.is_drained
        return worker is not None and (is_drained or worker.order is Order.RESTART)

    def list_workers(self) -> tuple[WorkerView, ...]:
        """Return all slots, by name."""
        return tuple(self._slots[name].view() for name in sorted(self._slots))

    def restart(self, pool: str | None) -> int:
        """Replace workers one after the other, each at the end of its job; go on meanwhile.

        Workers that are in the row already, since it was asked for before, are replaced once.

        Args:
          pool: None: all; otherwise those of this pool.
        Returns: how many.
        Raises:
          NotFoundError: no slot is of this pool.
          UnavailableError: the engine is shutting down.
        """
        self._open_nursery()
        slots = [slot for slot in self._slots.values() if pool is None or slot.pool == pool]
        if pool is not None and not slots:
            pools = {slot.pool for slot in self._slots.values() if slot.pool is not None}
            raise NotFoundError("pool", pool, sorted(pools))
        return self._rolling.add(slots)

    def guard_drains(self, guard: DrainGuard) -> None:
        """From now on have a drain refused that `guard` finds to leave too few slots."""
        self._guards.append(guard)

    def drain_slots(
        self, *, slot: str | None = None, host: str | None = None, force: bool = False
    ) -> tuple[WorkerView, ...]:
        """Empty slots, each at the end of its worker's job, until they are resumed.

        What has been drained already stays so. A new engine, or a new session of another host,
        knows nothing of it.

        Args:
          slot: the one of this name.
          host: or all of this host; exactly one of the two is given.
          force: whatever the guards say.
        Returns: the slots as they are now, by name.
        Raises:
          InvalidArgumentError: not exactly one of `slot` and `host` is given.
          NotFoundError: there is no such slot, or host.
          FailedPreconditionError: a guard refuses; nothing is drained then.
          UnavailableError: the engine is shutting down.
        """
        self._open_nursery()
        chosen = choose_slots(self._slots, slot, host)
        if not force:
            before = self.list_workers()
            after = tuple(view for view in before if view.slot not in chosen)
            for guard in self._guards:
                guard(before, after)
        for one in chosen.values():
            one.drain()
        return tuple(one.view() for one in chosen.values())

    def resume_slots(
        self, *, slot: str | None = None, host: str | None = None
    ) -> tuple[WorkerView, ...]:
        """Fill drained slots again. Arguments and errors as `drain_slots`, without guards."""
        self._open_nursery()
        chosen = choose_slots(self._slots, slot, host)
        for one in chosen.values():
            one.resume()
        return tuple(one.view() for one in chosen.values())

    async def converse(
        self, messages: AsyncIterator[pb.HostEvent]
    ) -> AsyncGenerator[pb.HostCommand, None]:
        """Yield what an agent is to be sent; see `converse_with_agent`.

        Raises:
          FailedPreconditionError: other hosts are not welcome, or the session is over.
        """
        if self._welcome is None:
            raise FailedPreconditionError("this engine takes no workers on other hosts")
        conversation = converse_with_agent(
            messages, self.find_host, self._welcome, self._open_nursery()
        )
        async with aclosing(conversation) as commands:
            async for command in commands:
                yield command

    def find_host(self, join: Join) -> RemoteHost:
        """Return the host of an agent's session; a new one gets the slots it asks for.

        Raises:
          FailedPreconditionError: the session has begun, but not with this engine, or it is over.
          UnavailableError: the engine is shutting down.
        """
        host = self._remote.get(join.session)
        if host is None:
            if join.resumed:
                raise FailedPreconditionError(
                    "the session is over, or was another engine's; join with another"
                )
            host = RemoteHost(join, self._settings.check_deadline_s)
            self.attach_remote(host, join.pool or None, join.slots)
        return host

    def attach_remote(self, host: RemoteHost, pool: str | None, slots: int) -> None:
        """Fill slots on another host for as long as its session lasts.

        Raises:
          UnavailableError: the engine is shutting down.
        """
        nursery = self._open_nursery()
        self._remote[host.session] = host
        nursery.start_soon(self._serve_host, host, self._add_slots(host, pool, slots))

    def _add_slots(self, host: RemoteHost, pool: str | None, slots: int) -> list[Slot]:
        # An earlier session of the same host may still hold some names, until its end is certain.
        free = (name for n in count() if (name := f"{host.name}-{n}") not in self._slots)
        added = []
        for _ in range(slots):
            name = next(free)
            self._slots[name] = self._new_slot(SlotName(name, pool), host, host.lost)
            added.append(self._slots[name])
        return added

    async def _serve_host(self, host: RemoteHost, slots: Sequence[Slot]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.run)
            nursery.start_soon(_stop_when_lost, host, slots)
            async with trio.open_nursery() as running:
                for slot in slots:
                    running.start_soon(self._run_slot, slot)
            # Nothing is left there.
            nursery.cancel_scope.cancel()
        del self._remote[host.session]

    async def _run_slot(self, slot: Slot) -> None:
        try:
            await slot.run()
        finally:
            del self._slots[slot.name]
            self._look_if_stopped()

    async def _write_journal(self) -> None:
        with trio.CancelScope(shield=True) as patience:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._journal.run)
                # Until it is closed it lives as long as the workers, then a little longer.
                await self._journal.closed.wait()
                patience.deadline = trio.current_time() + _JOURNAL_CLOSE_S

    def _new_slot(self, name: SlotName, host: Host, host_lost: trio.Event | None = None) -> Slot:
        return Slot(name, host, self._jobs, self._settings, self._journal, self._roster, host_lost)

    def _slot_of(self, worker_id: str) -> Slot | None:
        return self._slots.get(worker_id.rpartition("-")[0])

    def _read_memory_bytes(self) -> dict[str, float]:
        return {
            name: worker.memory_bytes
            for name, slot in self._slots.items()
            if (worker := slot.worker) is not None and worker.memory_bytes is not None
        }

    def _read_check_ages_s(self) -> dict[str, float]:
        now_s = trio.current_time()
        return {
            name: age_s
            for name, slot in self._slots.items()
            if (worker := slot.worker) is not None
            and (age_s := worker.check_age_s(now_s)) is not None
        }

    def _look_if_stopped(self) -> None:
        if self._draining and not self._slots:
            self._all_stopped.set()

    def _open_nursery(self) -> trio.Nursery:
        if self._nursery is None or self._draining:
            raise UnavailableError("the engine is shutting down")
        return self._nursery

    def _find(self, worker_id: str) -> LiveWorker:
        worker = self._roster.get(worker_id)
        if worker is None:
            raise NotFoundError("worker", worker_id)
        return worker


async def _stop_when_lost(host: RemoteHost, slots: Sequence[Slot]) -> None:
    await host.lost.wait()
    for slot in slots:
        slot.stop()
