"""The supervisor's decisions under whatever happens in whatever order, in virtual time."""

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.errors import NotFoundError, UnavailableError
from engine.jobs import Cause
from engine.records import Receipt
from engine.workers.checks import CheckReport
from engine.workers.exits import WorkerExit
from engine.workers.host import ExitStatus
from engine.workers.supervisor import Supervisor
from engine.workers.supervisor_settings import SupervisorSettings
from engine.workers.views import SlotState
from tests.support.virtual_workers import FAILURES, LINGERING_S, STEP_S, VirtualHost, VirtualJobs

SLOTS = (("any-0", None), ("any-1", None), ("heavy-0", "heavy"))
SETTINGS = SupervisorSettings(
    slots=SLOTS,
    stall_s=10.0,
    idle_stall_s=20.0,
    cancel_grace_s=3.0,
    start_timeout_s=8.0,
    restart_intensity=3,
    restart_period_s=60.0,
    backoff_max_s=2.0,
    park_s=30.0,
)
LONGEST_STEP_S = SETTINGS.stall_s - 0.1
"""A job that moves this often does not stall, nor is it to be taken for one that does."""
GRACE_S = 12.0
STACKS_S = 0.1
STALL_SLACK_S = 1.0
"""From when a job must have moved to the end of its worker."""
SLACK_S = 1.5
"""A check's interval, and what is on its way."""


class Journal:
    async def submit(self, request):
        await trio.lowlevel.checkpoint()
        return Receipt(1, 1)


class World:
    def __init__(self, clock):
        self.clock = clock
        self.host = VirtualHost()
        self.jobs = VirtualJobs(self.host)
        self.supervisor = Supervisor(SETTINGS, self.jobs, self.host, Journal())
        self.host.supervisor, self.host.jobs = self.supervisor, self.jobs
        self.to_be_replaced = set()
        self.drained_s = None
        self.drain_s = None
        self.slept_s = 0.0

    def worker(self, index):
        """Return the living worker of a slot, if there is one."""
        return next(iter(self.host.living(SLOTS[index % len(SLOTS)][0])), None)

    def drain(self, nursery):
        self.drain_s = trio.current_time()
        nursery.start_soon(self._drain)

    async def _drain(self):
        await self.supervisor.drain(GRACE_S)
        self.drained_s = trio.current_time()


# What may happen. Each takes the world and a number, which mostly picks a slot.


def add_jobs(world, number):
    for index in range(number + 1):
        work_s = (0.2, 4.0, 25.0)[(number + index) % 3]
        world.jobs.add(work_s, step_s=STEP_S if work_s < SETTINGS.stall_s else LONGEST_STEP_S)


def die(world, number):
    if worker := world.worker(number):
        worker.end(ExitStatus(None, 11))


def leave(world, number):
    if worker := world.worker(number):
        worker.end(ExitStatus(WorkerExit.RECYCLED, None))


def stop(world, number):
    if worker := world.worker(number):
        worker.stop()


def resume(world, number):
    if worker := world.worker(number):
        worker.resume()


def stick(world, number):
    if worker := world.worker(number):
        worker.stick()


def linger(world, number):
    """Let the kernel hold it back, and then have it killed."""
    if worker := world.worker(number):
        worker.lingers = True
        worker.stop()


def use_memory(world, number):
    if worker := world.worker(number):
        worker.use_too_much_memory()


def cancel(world, number):
    unfinished = [job for job in world.jobs.jobs.values() if not job.final]
    for job in unfinished[number : number + 1]:
        job.cancelled = True
        if job.state in {"queued", "kept"}:
            job.state = "cancelled"


def lose_zygote(world, number):
    world.host.problem = "no zygote"


def slow_zygote(world, number):
    world.host.before_s, world.host.after_s = 3.0 * number, 0.5 * number


def mend_zygote(world, number):
    world.host.problem, world.host.before_s, world.host.after_s = "", 0.0, 0.0


def restart(world, number):
    pool = (None, "heavy")[number % 2]
    if world.drain_s is not None:
        with pytest.raises(UnavailableError):
            world.supervisor.restart(pool)
        return
    chosen = {name for name, of in SLOTS if pool in {None, of}}
    world.supervisor.restart(pool)
    world.to_be_replaced |= {w.worker_id for w in world.host.living() if w.slot in chosen}


def drain_slot(world, number):
    _ask(world, lambda: world.supervisor.drain_slots(slot=SLOTS[number % len(SLOTS)][0]))


def fill_slot(world, number):
    _ask(world, lambda: world.supervisor.resume_slots(slot=SLOTS[number % len(SLOTS)][0]))


def _ask(world, act):
    if world.drain_s is not None:
        with pytest.raises(UnavailableError):
            act()
        return
    [view] = act()
    if view.state is SlotState.DRAINED:
        assert not world.host.living(view.slot)


def check_late(world, number):
    """Those that have ended are heard once more."""
    living = {worker.worker_id for worker in world.host.living()}
    for worker in world.host.workers:
        known = {view.worker_id for view in world.supervisor.list_workers()}
        if worker.worker_id not in living | known:
            with pytest.raises(NotFoundError):
                world.supervisor.check(CheckReport(worker.worker_id, "t", 1, None, ""))


def sleep_through(world, number):
    """The engine itself does not run for a while, its workers do."""
    duration_s = 7.0 * number
    for worker in world.host.workers:
        worker.stopped_at_s += duration_s + SLACK_S
        worker.stuck_at_s += duration_s + SLACK_S
        worker.moved_s += duration_s + SLACK_S
    world.slept_s += duration_s
    world.clock.jump(duration_s)


EVENTS = (
    add_jobs, die, leave, stop, resume, stick, linger, use_memory, cancel, lose_zygote,
    slow_zygote, mend_zygote, restart, drain_slot, fill_slot, check_late, sleep_through,
)  # fmt: skip
WAITS_S = (0.0, 0.1, 0.9, 4.0, 11.0)
STEPS = st.lists(
    st.tuples(st.sampled_from(WAITS_S), st.sampled_from(EVENTS), st.integers(0, 3)), max_size=25
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, drain_after=st.none() | st.integers(0, 25))
@example(steps=[(0.9, restart, 0), (0.0, add_jobs, 3), (0.9, linger, 0)], drain_after=2)
@example(steps=[(0.9, add_jobs, 3), (0.0, die, 0), (0.0, resume, 0)], drain_after=2)
@example(steps=[(0.0, add_jobs, 0)] * 9 + [(0.0, sleep_through, 1), (0.0, die, 1)], drain_after=11)
@example(steps=[(0.55, add_jobs, 1), (0.35, stick, 0), (11.0, resume, 0)], drain_after=None)
@example(steps=[(0.9, add_jobs, 3), (0.0, drain_slot, 0), (4.0, die, 0)], drain_after=None)
@example(steps=[(0.9, drain_slot, 0), (0.0, restart, 0), (0.1, fill_slot, 0)], drain_after=2)
@example(steps=[(0.0, lose_zygote, 0), (0.0, die, 0), (4.0, mend_zygote, 0)], drain_after=None)
def test_slots_recover_jobs_end_once_and_a_drain_is_finite(steps, drain_after):
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(_live_through, clock, steps, drain_after, clock=clock)


async def _live_through(clock, steps, drain_after):
    world = World(clock)
    async with trio.open_nursery() as workers, trio.open_nursery() as nursery:
        world.host.nursery = workers
        await nursery.start(world.supervisor.run)
        for number, (wait_s, event, argument) in enumerate(steps):
            if number == drain_after:
                world.drain(nursery)
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(wait_s)
            event(world, argument)
            _check_patience(world)
            _check_drained_slots(world)
        if world.drain_s is None:
            mend_zygote(world, 0)
            world.supervisor.resume_slots(host="local")
            await _check_recovery(world)
            world.drain(nursery)
    _check_drained(world)
    _check_restarts(world)


def _check_patience(world):
    """Nobody is stopped or stuck for longer than he may be."""
    now_s = trio.current_time()
    for worker in world.host.living():
        assert now_s - worker.stopped_at_s <= SETTINGS.check_deadline_s + STACKS_S + SLACK_S
        # It may have been waiting for a job, and then have taken one.
        longest_s = SETTINGS.idle_stall_s + SETTINGS.stall_s + STACKS_S + SLACK_S
        assert now_s - worker.stuck_at_s <= longest_s
        if worker.job is not None:
            assert now_s - worker.moved_s <= SETTINGS.stall_s + STALL_SLACK_S


def _check_drained_slots(world):
    """What is shown as drained has no worker, and nobody is kept waiting for one."""
    for view in world.supervisor.list_workers():
        if view.state is SlotState.DRAINED:
            assert not world.host.living(view.slot)


async def _check_recovery(world):
    """Left alone, every slot has a worker soon, and every job ends."""
    with trio.fail_after(1_000):
        while not all(job.final for job in world.jobs.jobs.values()) or not _is_well(world):
            await trio.sleep(1.0)
            _check_patience(world)
    for job in world.jobs.jobs.values():
        assert (job.state == "cancelled") <= job.cancelled
        assert (job.state == "dead") <= (job.failures >= 3)
    await trio.sleep(200)
    assert _is_well(world), "somebody is replaced though nothing is amiss"


def _is_well(world):
    living = {worker.worker_id for worker in world.host.living()}
    views = world.supervisor.list_workers()
    return (
        {view.worker_id for view in views} == living
        and len(living) == len(SLOTS)
        and not (living & world.to_be_replaced)
    )


def _check_drained(world):
    assert world.supervisor.list_workers() == ()
    assert not world.host.living()
    assert world.drained_s - world.drain_s <= GRACE_S + LINGERING_S + STACKS_S + world.slept_s
    assert not any(job.state in {"held", "kept"} for job in world.jobs.jobs.values())
    # Every worker has ended for the books, too, and once.
    ended = [end.worker_id for _, _, end in world.jobs.ends]
    assert len(ended) == len(set(ended))
    assert {worker.worker_id for worker in world.host.workers} <= set(ended)


def _check_restarts(world):
    """Nobody was given up without a reason, nobody started hot, and the drain kept its time."""
    workers = {worker.worker_id: worker for worker in world.host.workers}
    for at, _, end in world.jobs.ends:
        worker = workers.get(end.worker_id)
        if end.cause is Cause.SILENT:
            assert worker.was_stopped
        if end.cause is Cause.STALLED:
            assert worker.was_stuck or worker.was_stopped
            if worker.job is not None and not worker.lingers:
                assert at - worker.moved_s <= SETTINGS.stall_s + STALL_SLACK_S
        assert (end.cause is Cause.START_FAILED) <= (worker is None)
    for name, _ in SLOTS:
        failed_s = [
            at for at, slot, end in world.jobs.ends if slot == name and end.cause in FAILURES
        ]
        period_s = SETTINGS.restart_period_s
        most = SETTINGS.restart_intensity + 1 + period_s / SETTINGS.park_s + 1
        for at in failed_s:
            assert sum(at <= other < at + period_s for other in failed_s) <= most
