"""The supervisor in virtual time: workers that do as the tests say."""

import math
from collections.abc import Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import attrs
import pytest
import trio

from engine.errors import FailedPreconditionError, NotFoundError, StartFailedError
from engine.jobs import Cause, ClaimedJob
from engine.records import Receipt
from engine.workers.checks import CheckReport, Order
from engine.workers.exits import WorkerExit
from engine.workers.host import ExitStatus
from engine.workers.page import PageView, Phase, token_mark
from engine.workers.remote_messages import Join, Spawned
from engine.workers.supervisor import Supervisor
from engine.workers.supervisor_settings import SupervisorSettings
from engine.workers.views import SlotState

SETTINGS = SupervisorSettings(
    slots=(("any-0", None),), stall_s=10.0, restart_intensity=3, backoff_max_s=2.0
)


def new_job(number):
    return ClaimedJob(
        job_id=f"job-{number}",
        run=1,
        attempt=1,
        token=f"token-{number}",
        job_type="count",
        payload_json="{}",
        failures=0,
        accepted_at_us=0,
        request_id="",
        pool="default",
        max_attempts=3,
        priority=0,
    )


@attrs.define(eq=False)
class FakeWorker:
    worker_id: str
    pid: int
    host: str = "local"
    status: ExitStatus | None = None
    running: str | None = None
    latest: str | None = None
    over_memory: trio.Event = attrs.field(factory=trio.Event)
    gone: trio.Event = attrs.field(factory=trio.Event)
    order: Order = Order.CONTINUE
    lingers: bool = False
    while_captured: Callable[[], object] = lambda: None

    async def wait(self):
        await self.gone.wait()
        return self.status

    async def kill(self):
        if self.lingers:
            await trio.sleep(5)
        self.end(ExitStatus(None, 9, lingers=self.lingers))
        return await self.wait()

    def end(self, status):
        if not self.gone.is_set():
            self.status = status
            self.gone.set()

    async def capture_stacks(self, timeout_s=0.1):
        self.while_captured()
        return f"stacks of {self.worker_id}"

    async def wait_over_memory(self):
        await self.over_memory.wait()
        return 5_000

    def memory_bytes(self):
        return 1_000

    def page(self):
        running = None if self.running is None else token_mark(self.running)
        latest = running if self.latest is None else token_mark(self.latest)
        phase = Phase.IDLE if running is None else Phase.RUNNING
        return PageView(phase, 1, running, 0, latest)

    def last_output(self):
        return ("last words",)


class FakeHost:
    """Starts workers that check in as `live` says."""

    name = "local"

    def __init__(self, live):
        self._live = live
        self.workers = []
        self.started_s = []
        self.problem = None
        self.error = StartFailedError
        self.nursery = None

    async def spawn(self, spec):
        await trio.lowlevel.checkpoint()
        self.started_s.append(trio.current_time())
        if self.problem:
            raise self.error(self.problem)
        worker = FakeWorker(spec.worker_id, pid=100 + len(self.workers))
        self.workers.append(worker)
        self.nursery.start_soon(self._live, worker)
        return worker


class FakeJobs:
    """Jobs that are held by slots; what is released is remembered, not handed out again."""

    def __init__(self):
        self.queue = []
        self.by_slot = {}
        self.released = []
        self.done = []
        self.cancelled = set()
        self.let_go_of = []
        self.added = trio.Event()

    def held(self, slot):
        return tuple(self.by_slot.get(slot, ()))

    async def claim(self, slot, pools, most, wait_s):
        with trio.move_on_after(wait_s):
            while not self.queue:
                await self.added.wait()
        taken, self.queue = self.queue[:most], self.queue[most:]
        self.by_slot.setdefault(slot, []).extend(taken)
        return taken

    async def release(self, slot, *, running, done, end, back_to):
        self.by_slot.pop(slot, None)
        self.released.append((slot, running, end, back_to))
        self.done += done

    def let_go(self, slot):
        self.let_go_of.append(slot)

    def note_progress(self, job_id, token, counter, note="", **more):
        return True

    def is_cancel_requested(self, job_id, token):
        return job_id in self.cancelled


class FakeWriter:
    def __init__(self):
        self.rows = []

    async def submit(self, request):
        await trio.lowlevel.checkpoint()
        self.rows += request.operations[0].data.to_pylist()
        return Receipt(1, 1)


class World:
    def __init__(self, settings=SETTINGS):
        self.jobs = FakeJobs()
        self.writer = FakeWriter()
        self.host = FakeHost(self.live)
        self.supervisor = Supervisor(settings, self.jobs, self.host, self.writer)
        self.silent = False
        self.stuck_between_jobs = False

    async def live(self, worker):
        """Check in every second until told to leave with nothing in hand."""
        while not worker.gone.is_set() and not self.silent:
            try:
                reply = self.check(worker)
            except NotFoundError:
                return
            worker.order = reply.order
            if reply.order in {Order.RESTART, Order.DRAIN} and worker.running is None:
                worker.end(ExitStatus(WorkerExit.LEFT, None))
            again_in_s = 1.0 if reply.again_in_s is None else reply.again_in_s
            with trio.move_on_after(again_in_s):
                await worker.gone.wait()

    def check(self, worker):
        token = worker.running or ""
        # Without a job it asks for one again and again; with one, nothing moves.
        calls = 0 if token or self.stuck_between_jobs else int(trio.current_time())
        return self.supervisor.check(CheckReport(worker.worker_id, token, calls, None, ""))

    @property
    def worker(self):
        return self.host.workers[-1]

    @property
    def causes(self):
        return [end.cause for _, _, end, _ in self.jobs.released]

    def view(self):
        (view,) = self.supervisor.list_workers()
        return view

    async def take(self, *jobs):
        """Have the worker take jobs and begin the first."""
        worker = self.worker
        self.jobs.queue += jobs
        reply = await self.supervisor.take_jobs(worker.worker_id, 10, 1.0)
        worker.running = reply.jobs[0].token
        self.check(worker)
        return worker


@asynccontextmanager
async def open_world(settings=SETTINGS):
    world = World(settings)
    async with trio.open_nursery() as nursery:
        world.host.nursery = nursery
        await nursery.start(world.supervisor.run)
        await until(lambda: world.host.workers)
        await trio.sleep(0.5)
        yield world
        nursery.cancel_scope.cancel()


async def until(condition, within_s=120.0):
    with trio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110 - a state of several parts
            await trio.sleep(0.01)


async def test_a_worker_that_lives_is_left_alone(autojump_clock):
    async with open_world() as world:
        await trio.sleep(100)
        assert len(world.host.workers) == 1
        assert world.view().state is SlotState.IDLE


async def test_a_silent_worker_is_replaced_and_its_job_is_kept_for_the_slot(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1), new_job(2))
        checked_s = trio.current_time()
        world.silent = True
        await until(lambda: len(world.host.workers) == 2)
        assert trio.current_time() - checked_s == pytest.approx(5.0, abs=1.1)
        ((slot, running, end, back_to),) = world.jobs.released
        assert (slot, running, back_to) == ("any-0", "job-1", "slot")
        assert (end.cause, end.charged) == (Cause.SILENT, True)
        assert end.stack == f"stacks of {worker.worker_id}"
        assert worker.worker_id != world.worker.worker_id


async def test_a_worker_without_progress_is_replaced_as_stalled(autojump_clock):
    async with open_world() as world:
        await world.take(new_job(1))
        began_s = trio.current_time()
        await until(lambda: world.jobs.released)
        assert world.causes == [Cause.STALLED]
        assert trio.current_time() - began_s == pytest.approx(10.0, abs=0.1)


async def test_a_worker_stuck_without_a_job_is_replaced_and_nothing_is_charged(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1))
        world.stuck_between_jobs = True
        worker.running = None
        began_s = trio.current_time()
        await until(lambda: world.jobs.released)
        assert trio.current_time() - began_s == pytest.approx(45.0, abs=1.1)
        ((_, running, end, back_to),) = world.jobs.released
        assert (running, end.cause, end.charged) == (None, Cause.STALLED, False)
        assert back_to == "slot"


async def test_a_worker_without_jobs_is_answered_before_it_counts_as_stuck(autojump_clock):
    async with open_world() as world:
        began_s = trio.current_time()
        reply = await world.supervisor.take_jobs(world.worker.worker_id, 1, 60.0)
        assert reply.jobs == ()
        assert trio.current_time() - began_s == pytest.approx(15.0)


async def test_a_type_of_job_may_have_its_own_patience(autojump_clock):
    settings = attrs.evolve(SETTINGS, stall_s_by_job_type={"count": 50.0})
    async with open_world(settings) as world:
        await world.take(new_job(1))
        await trio.sleep(45)
        assert world.causes == []
        await trio.sleep(10)
        assert world.causes == [Cause.STALLED]


async def test_a_worker_that_dies_with_a_job_is_charged_whatever_its_exit_code(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1))
        worker.end(ExitStatus(WorkerExit.LEFT, None))
        await until(lambda: len(world.host.workers) == 2)
        ((_, running, end, _),) = world.jobs.released
        assert (running, end.cause, end.charged) == ("job-1", Cause.DIED, True)
        assert end.stack == "last words"


@pytest.mark.parametrize("code", [WorkerExit.FAULTY, WorkerExit.LEFT, WorkerExit.RECYCLED])
async def test_a_worker_that_dies_before_it_hands_in_a_job_is_charged(code, autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1))
        worker.running, worker.latest = None, new_job(1).token
        worker.end(ExitStatus(code, None))
        await until(lambda: len(world.host.workers) == 2)
        ((_, running, end, _),) = world.jobs.released
        assert (running, end.cause, end.charged) == ("job-1", Cause.DIED, True)


async def test_what_a_worker_did_before_the_job_it_dies_with_is_known_to_be_lost(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1), new_job(2), new_job(3), new_job(4))
        worker.running = new_job(3).token
        worker.end(ExitStatus(None, 9))
        await until(lambda: len(world.host.workers) == 2)
        ((_, running, _, _),) = world.jobs.released
        assert (running, world.jobs.done) == ("job-3", ["job-1", "job-2"])


async def test_what_a_worker_begins_after_it_was_given_up_is_known_to_be_lost(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1), new_job(2), new_job(3))
        worker.while_captured = lambda: setattr(worker, "running", new_job(2).token)
        world.silent = True
        await until(lambda: len(world.host.workers) == 2)
        ((_, running, _, _),) = world.jobs.released
        assert (running, world.jobs.done) == ("job-1", ["job-2"])


async def test_a_worker_that_dies_with_a_job_not_begun_charges_nothing(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(2))
        worker.running, worker.latest = None, new_job(1).token
        worker.end(ExitStatus(None, 9))
        await until(lambda: len(world.host.workers) == 2)
        ((_, running, end, _),) = world.jobs.released
        assert (running, end.cause, end.charged) == (None, Cause.DIED, False)


async def test_a_worker_that_asks_to_be_replaced_is_no_failure(autojump_clock):
    async with open_world() as world:
        for count in range(2, 12):
            world.worker.end(ExitStatus(WorkerExit.RECYCLED, None))
            await until(lambda count=count: len(world.host.workers) == count, 1.0)
        assert set(world.causes) == {Cause.RECYCLED}


async def test_too_much_memory_is_the_end_of_a_worker(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1))
        worker.over_memory.set()
        await until(lambda: world.jobs.released)
        ((_, running, end, _),) = world.jobs.released
        assert (running, end.cause, end.charged) == ("job-1", Cause.MEMORY, True)


async def test_a_cancelled_job_that_does_not_end_is_killed_uncharged(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1))
        world.jobs.cancelled.add("job-1")
        reply = world.check(worker)
        assert (reply.order, reply.cancel_token) == (Order.CANCEL_JOB, "token-1")
        await until(lambda: world.jobs.released)
        ((_, running, end, _),) = world.jobs.released
        assert (running, end.cause, end.charged) == ("job-1", Cause.CANCELLED, False)


async def test_restarts_back_off_and_the_slot_is_parked_and_tried_again(autojump_clock):
    async with open_world() as world:
        world.host.problem = "no memory"
        world.worker.end(ExitStatus(1, None))
        await until(lambda: world.view().state is SlotState.PARKED)
        waits_s = [b - a for a, b in pairwise(world.host.started_s[1:])]
        assert waits_s == pytest.approx([0.1, 0.2], abs=0.02)
        assert world.view().starts_in_s == pytest.approx(30.0, abs=0.1)
        assert world.causes[-1] is Cause.START_FAILED
        assert world.jobs.released[-1][3] == "queue"
        world.host.problem = None
        await until(lambda: world.view().state is SlotState.IDLE, 31.0)


async def test_a_worker_that_cannot_be_killed_holds_neither_its_job_nor_its_slot(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1))
        worker.lingers = True
        world.silent = True
        await until(lambda: world.jobs.released)
        ((_, running, end, back_to),) = world.jobs.released
        assert (running, end.cause, end.charged, back_to) == ("job-1", Cause.SILENT, True, "queue")
        assert end.detail == "no check for 5 s; killed, but the kernel holds it back"
        await until(lambda: world.view().state is SlotState.STUCK)
        assert world.view().starts_in_s == pytest.approx(30.0, abs=0.1)
        with pytest.raises(NotFoundError):
            world.check(worker)
        world.silent = False
        await until(lambda: world.view().state is SlotState.IDLE, 31.0)


async def test_on_shutdown_a_worker_that_cannot_be_killed_is_waited_for_so_long(autojump_clock):
    async with open_world(attrs.evolve(SETTINGS, stall_s=1_000.0)) as world:
        worker = await world.take(new_job(1))
        worker.lingers = True
        began_s = trio.current_time()
        await world.supervisor.drain(10.0)
        assert trio.current_time() - began_s == pytest.approx(15.0)
        assert world.causes == [Cause.SHUTDOWN]


async def test_a_slot_that_can_never_have_a_worker_says_so_and_is_not_tried_again(autojump_clock):
    world = World()
    world.host.problem, world.host.error = "this is no Linux", FailedPreconditionError
    async with trio.open_nursery() as nursery:
        await nursery.start(world.supervisor.run)
        await trio.sleep(10_000)
        assert len(world.host.started_s) == 1
        view = world.view()
        assert (view.state, view.starts_in_s) == (SlotState.PARKED, 0.0)
        assert (view.last_end.cause, view.last_end.detail) == (
            Cause.START_FAILED,
            "this is no Linux",
        )
        await world.supervisor.drain(5.0)
        assert world.supervisor.list_workers() == ()


async def test_a_worker_given_up_is_not_told_so_before_its_stacks_are_taken(autojump_clock):
    """Told, it would leave at once, and with it the stack that says where it was stuck."""
    async with open_world() as world:
        worker = await world.take(new_job(1))
        orders = []

        worker.while_captured = lambda: orders.append(world.check(worker).order)
        await until(lambda: world.jobs.released)
        assert (world.causes, orders) == ([Cause.STALLED], [Order.CONTINUE])


async def test_a_worker_given_up_is_answered_no_more(autojump_clock):
    async with open_world() as world:
        worker = world.worker
        worker.end(ExitStatus(1, None))
        await until(lambda: len(world.host.workers) == 2)
        with pytest.raises(NotFoundError):
            world.check(worker)
        with pytest.raises(NotFoundError):
            await world.supervisor.take_jobs(worker.worker_id, 1, 1.0)


async def test_jobs_whose_answer_was_lost_are_handed_out_again(autojump_clock):
    async with open_world() as world:
        world.jobs.queue = [new_job(1), new_job(2)]
        first = await world.supervisor.take_jobs(world.worker.worker_id, 10, 1.0)
        again = await world.supervisor.take_jobs(world.worker.worker_id, 10, 1.0)
        assert first.jobs == again.jobs != ()


async def test_nothing_is_handed_to_a_worker_that_ends_while_it_waits(autojump_clock):
    async with open_world() as world:
        worker = world.worker
        answers = []

        async def take():
            try:
                answers.append(await world.supervisor.take_jobs(worker.worker_id, 1, math.inf))
            except NotFoundError as error:
                answers.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await trio.sleep(1)
            worker.end(ExitStatus(1, None))
        assert isinstance(answers[0], NotFoundError)
        await until(lambda: world.jobs.released)
        assert world.jobs.held("any-0") == ()


async def test_on_shutdown_idle_workers_leave_at_once(autojump_clock):
    async with open_world() as world:
        began_s = trio.current_time()
        await world.supervisor.drain(30.0)
        assert trio.current_time() - began_s <= 1.0
        assert world.causes == [Cause.SHUTDOWN]
        assert world.supervisor.list_workers() == ()


async def test_on_shutdown_a_busy_worker_has_its_grace(autojump_clock):
    settings = attrs.evolve(SETTINGS, stall_s=1_000.0)
    async with open_world(settings) as world:
        await world.take(new_job(1))
        began_s = trio.current_time()
        await world.supervisor.drain(30.0)
        assert trio.current_time() - began_s == pytest.approx(30.0)
        ((_, running, end, back_to),) = world.jobs.released
        assert (running, end.cause, end.charged) == ("job-1", Cause.SHUTDOWN, False)
        assert back_to == "queue"
        assert len(world.host.workers) == 1


async def test_a_supervisor_that_is_cancelled_leaves_no_worker_and_no_lease(autojump_clock):
    async with open_world() as world:
        worker = await world.take(new_job(1))
    assert worker.gone.is_set()
    ((_, running, end, back_to),) = world.jobs.released
    assert (running, end.cause, back_to) == ("job-1", Cause.SHUTDOWN, "queue")
    assert [row["change"] for row in world.writer.rows] == ["started", "ended"]


async def test_a_rolling_restart_replaces_one_after_the_other(autojump_clock):
    slots = (("any-0", None), ("heavy-0", "heavy"), ("heavy-1", "heavy"))
    async with open_world(attrs.evolve(SETTINGS, slots=slots, stall_s=1_000.0)) as world:
        await until(lambda: len(world.host.workers) == 3)
        old = {view.slot: view for view in world.supervisor.list_workers()}
        busy = next(w for w in world.host.workers if w.worker_id == old["heavy-0"].worker_id)
        busy.running = "token-1"
        assert world.supervisor.restart("heavy") == 2
        await trio.sleep(20)
        assert len(world.host.workers) == 3
        busy.running = None
        await until(lambda: len(world.host.workers) == 5, 10.0)
        new = {view.slot: view for view in world.supervisor.list_workers()}
        assert new["any-0"].worker_id == old["any-0"].worker_id
        assert new["heavy-1"].worker_id != old["heavy-1"].worker_id
        assert set(world.causes) == {Cause.RECYCLED}
        with pytest.raises(NotFoundError):
            world.supervisor.restart("light")


async def test_restarts_asked_for_again_join_the_one_under_way(autojump_clock):
    slots = (("any-0", None), ("any-1", None), ("any-2", None))
    async with open_world(attrs.evolve(SETTINGS, slots=slots, stall_s=1_000.0)) as world:
        await until(lambda: len(world.host.workers) == 3)
        first = world.host.workers[0]
        first.running = "token-1"
        tasks = trio.lowlevel.current_statistics().tasks_living
        assert {world.supervisor.restart(None) for _ in range(1_000)} == {3}
        await trio.sleep(20)
        assert trio.lowlevel.current_statistics().tasks_living <= tasks
        first.running = None
        await until(lambda: len(world.host.workers) == 6, 10.0)
        await trio.sleep(20)
        assert len(world.host.workers) == 6


async def test_a_restart_asked_for_later_replaces_the_successors_too(autojump_clock):
    slots = (("any-0", None), ("any-1", None))
    async with open_world(attrs.evolve(SETTINGS, slots=slots, stall_s=1_000.0)) as world:
        await until(lambda: len(world.host.workers) == 2)
        held_up = next(w for w in world.host.workers if w.worker_id.startswith("any-1"))
        held_up.running = "token-1"
        world.supervisor.restart(None)
        await until(lambda: len(world.host.workers) == 3, 10.0)
        # The first has its successor: what was put in place since then is not in that one.
        assert world.supervisor.restart(None) == 2
        held_up.running = None
        await until(lambda: len(world.host.workers) == 5, 20.0)
        await trio.sleep(20)
        assert len(world.host.workers) == 5


async def test_a_session_that_is_not_known_any_more_cannot_go_on(autojump_clock):
    async with open_world() as world:
        with pytest.raises(FailedPreconditionError, match="join with another"):
            world.supervisor.find_host(Join("big", "heavy", 1, "session-0", resumed=True))
        assert len(world.supervisor.list_workers()) == 1


async def test_a_job_handed_out_to_a_host_that_is_lost_counts_as_begun(autojump_clock):
    """What it did with it since it last told, nobody knows."""
    async with open_world() as world:
        join = Join("big", "heavy", 1, "session-1")
        host = world.supervisor.find_host(join)
        to_engine, events = trio.open_memory_channel(10)
        commands, to_agent = trio.open_memory_channel(10)
        world.host.nursery.start_soon(host.serve, join, events, commands)
        spawn = await to_agent.receive()
        await to_engine.send(Spawned(spawn.spec.worker_id, 500))
        world.supervisor.check(CheckReport(spawn.spec.worker_id, "", 0, None, ""))
        world.jobs.queue.append(new_job(1))
        await world.supervisor.take_jobs(spawn.spec.worker_id, 1, 1.0)
        await until(lambda: len(world.supervisor.list_workers()) == 1, 20.0)
        ((_, running, end, back_to),) = world.jobs.released
        assert (running, end.cause, end.charged, back_to) == (
            "job-1",
            Cause.HOST_LOST,
            False,
            "queue",
        )


async def test_a_host_that_joins_has_slots_until_it_is_lost(autojump_clock):
    async with open_world() as world:
        join = Join("big", "heavy", 2, "session-1")
        host = world.supervisor.find_host(join)
        assert world.supervisor.find_host(join) is host
        to_engine, events = trio.open_memory_channel(10)
        commands, to_agent = trio.open_memory_channel(10)
        world.host.nursery.start_soon(host.serve, join, events, commands)
        for number in range(2):
            spawn = await to_agent.receive()
            await to_engine.send(Spawned(spawn.spec.worker_id, 500 + number))
            world.supervisor.check(CheckReport(spawn.spec.worker_id, "", 0, None, ""))
        world.jobs.queue += [new_job(1), new_job(2)]
        await world.supervisor.take_jobs(spawn.spec.worker_id, 10, 1.0)
        views = [view for view in world.supervisor.list_workers() if view.host == "big"]
        assert [(view.slot, view.pool) for view in views] == [
            ("big-0", "heavy"),
            ("big-1", "heavy"),
        ]
        await host.lost.wait()
        with pytest.raises(NotFoundError):
            world.supervisor.check(CheckReport(spawn.spec.worker_id, "", 0, None, ""))
        # Their jobs are nobody else's before they are dead for certain.
        assert world.causes == []
        await until(lambda: len(world.supervisor.list_workers()) == 1, 10.0)
        assert world.causes == [Cause.HOST_LOST, Cause.HOST_LOST]
        assert {back_to for _, _, _, back_to in world.jobs.released} == {"queue"}
        # How far the worker came with them since the host last told, nobody knows.
        assert {running for _, running, _, _ in world.jobs.released} == {None, "job-1"}
        assert world.jobs.done == ["job-2"]
