"""Slots that are drained and resumed, in virtual time."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from engine.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from engine.jobs import Cause
from engine.records import Receipt
from engine.workers.host import ExitStatus
from engine.workers.supervisor import Supervisor
from engine.workers.supervisor_settings import SupervisorSettings
from engine.workers.views import SlotState
from tests.support.virtual_workers import VirtualHost, VirtualJobs

SETTINGS = SupervisorSettings(
    slots=(("any-0", None), ("any-1", None)), stall_s=10.0, restart_intensity=1, park_s=30.0
)


class Journal:
    async def submit(self, request):
        await trio.lowlevel.checkpoint()
        return Receipt(1, 1)


@attrs.frozen
class World:
    host: VirtualHost
    jobs: VirtualJobs
    supervisor: Supervisor

    def view(self, slot):
        return next(view for view in self.supervisor.list_workers() if view.slot == slot)

    def worker(self, slot):
        return next(iter(self.host.living(slot)), None)

    @property
    def states(self):
        return [job.state for job in self.jobs.jobs.values()]

    async def until(self, condition, within_s=60.0):
        with trio.fail_after(within_s):
            while not condition():  # noqa: ASYNC110 - a state of several parts
                await trio.sleep(0.1)


@asynccontextmanager
async def open_world(settings=SETTINGS):
    host = VirtualHost()
    jobs = VirtualJobs(host)
    supervisor = Supervisor(settings, jobs, host, Journal())
    host.supervisor, host.jobs = supervisor, jobs
    async with trio.open_nursery() as nursery:
        host.nursery = nursery
        await nursery.start(supervisor.run)
        await trio.sleep(1)
        yield World(host, jobs, supervisor)
        await supervisor.drain(10.0)
        nursery.cancel_scope.cancel()


async def test_a_drained_worker_ends_after_the_job_in_hand_and_no_other_follows(autojump_clock):
    async with open_world() as world:
        world.jobs.add(work_s=20.0)
        await world.until(lambda: any(view.job_id for view in world.supervisor.list_workers()))
        [busy] = [view for view in world.supervisor.list_workers() if view.job_id]
        [drained] = world.supervisor.drain_slots(slot=busy.slot)
        assert (drained.state, drained.job_id) == (SlotState.DRAINING, "job-0")
        await trio.sleep(10)
        assert world.view(busy.slot).worker_id == busy.worker_id
        await world.until(lambda: world.view(busy.slot).state is SlotState.DRAINED)
        assert world.states == ["succeeded"]
        await trio.sleep(1_000)
        view = world.view(busy.slot)
        assert (view.state, view.worker_id, view.restarts) == (SlotState.DRAINED, "", 0)
        assert view.last_end.cause is Cause.SHUTDOWN
        assert view.last_end.detail == "the slot is drained"


async def test_an_idle_worker_that_is_drained_leaves_at_once_and_others_do_the_jobs(autojump_clock):
    async with open_world() as world:
        world.supervisor.drain_slots(slot="any-0")
        await world.until(lambda: world.view("any-0").state is SlotState.DRAINED, within_s=1.5)
        for _ in range(3):
            world.jobs.add(work_s=1.0)
        await world.until(lambda: world.states == ["succeeded"] * 3)
        assert {job.slot for job in world.jobs.jobs.values()} == {"any-1"}


async def test_a_slot_that_is_resumed_is_filled_at_once(autojump_clock):
    async with open_world() as world:
        world.supervisor.drain_slots(slot="any-0")
        await world.until(lambda: world.worker("any-0") is None)
        await trio.sleep(100)
        world.supervisor.resume_slots(slot="any-0")
        await world.until(lambda: world.view("any-0").state is SlotState.IDLE, within_s=1.5)


async def test_one_that_is_resumed_while_it_drains_gets_a_successor(autojump_clock):
    async with open_world() as world:
        world.jobs.add(work_s=20.0)
        await world.until(lambda: any(view.job_id for view in world.supervisor.list_workers()))
        [busy] = [view for view in world.supervisor.list_workers() if view.job_id]
        world.supervisor.drain_slots(slot=busy.slot)
        [resumed] = world.supervisor.resume_slots(slot=busy.slot)
        assert resumed.state is SlotState.LEAVING
        await world.until(lambda: world.view(busy.slot).state is SlotState.IDLE)
        assert world.view(busy.slot).worker_id != busy.worker_id
        assert world.states == ["succeeded"]


async def test_a_job_whose_draining_worker_dies_is_anyones_and_the_slot_stays_empty(autojump_clock):
    async with open_world() as world:
        world.jobs.add(work_s=9.0)
        await world.until(lambda: any(view.job_id for view in world.supervisor.list_workers()))
        [busy] = [view for view in world.supervisor.list_workers() if view.job_id]
        world.supervisor.drain_slots(slot=busy.slot)
        world.worker(busy.slot).end(ExitStatus(None, 11))
        await world.until(lambda: world.states == ["succeeded"])
        assert world.jobs.jobs["job-0"].slot != busy.slot
        assert world.view(busy.slot).state is SlotState.DRAINED
        assert world.view(busy.slot).last_end.cause is Cause.DIED


async def test_a_draining_worker_is_held_to_the_usual_limits(autojump_clock):
    async with open_world() as world:
        world.jobs.add(work_s=9.0)
        await world.until(lambda: any(view.job_id for view in world.supervisor.list_workers()))
        [busy] = [view for view in world.supervisor.list_workers() if view.job_id]
        world.supervisor.drain_slots(slot=busy.slot)
        world.worker(busy.slot).stop()
        await world.until(lambda: world.view(busy.slot).state is SlotState.DRAINED, within_s=10.0)
        assert world.view(busy.slot).last_end.cause is Cause.SILENT


async def test_what_was_kept_for_a_slot_that_waits_is_let_go_when_it_is_drained(autojump_clock):
    settings = attrs.evolve(SETTINGS, slots=(("any-0", None),), restart_intensity=5)
    async with open_world(settings) as world:
        world.jobs.add(work_s=5.0)
        await world.until(lambda: world.view("any-0").job_id)
        world.host.before_s = 20.0
        world.worker("any-0").end(ExitStatus(None, 11))
        await world.until(lambda: world.states == ["kept"])
        world.supervisor.drain_slots(slot="any-0")
        # Its start is called off, too.
        await world.until(lambda: world.states == ["queued"], within_s=1.0)
        await world.until(lambda: world.view("any-0").state is SlotState.DRAINED, within_s=1.0)
        await trio.sleep(100)
        assert not world.host.living()


async def test_a_parked_slot_can_be_drained_and_keeps_its_rest_when_it_is_resumed(autojump_clock):
    async with open_world() as world:
        world.host.problem = "no zygote"
        world.worker("any-0").end(ExitStatus(None, 11))
        await world.until(lambda: world.view("any-0").state is SlotState.PARKED)
        [drained] = world.supervisor.drain_slots(slot="any-0")
        assert (drained.state, drained.starts_in_s) == (SlotState.DRAINED, 0.0)
        world.host.problem = ""
        [resumed] = world.supervisor.resume_slots(slot="any-0")
        assert resumed.state is SlotState.PARKED
        assert 25.0 < resumed.starts_in_s <= 30.0
        await world.until(lambda: world.view("any-0").state is SlotState.IDLE)


async def test_a_host_is_drained_and_resumed_as_a_whole(autojump_clock):
    async with open_world() as world:
        drained = world.supervisor.drain_slots(host="local")
        assert [view.slot for view in drained] == ["any-0", "any-1"]
        await world.until(lambda: not world.host.living())
        world.jobs.add(work_s=1.0)
        await trio.sleep(100)
        assert world.states == ["queued"]
        world.supervisor.resume_slots(host="local")
        await world.until(lambda: world.states == ["succeeded"])


async def test_a_guard_may_refuse_a_drain_but_not_one_by_force(autojump_clock):
    def guard(before, after):
        if len(before) == 2 and not after:
            raise FailedPreconditionError("somebody has to stay")

    async with open_world() as world:
        world.supervisor.guard_drains(guard)
        with pytest.raises(FailedPreconditionError, match="has to stay"):
            world.supervisor.drain_slots(host="local")
        assert {view.state for view in world.supervisor.list_workers()} == {SlotState.IDLE}
        world.supervisor.drain_slots(slot="any-1")
        world.supervisor.drain_slots(host="local", force=True)
        await world.until(lambda: not world.host.living())


async def test_a_rolling_restart_passes_over_drained_slots(autojump_clock):
    async with open_world() as world:
        world.supervisor.drain_slots(slot="any-0")
        assert world.supervisor.restart(None) == 1
        await world.until(lambda: world.view("any-1").restarts == 1, within_s=5.0)
        # A slot that is drained while its worker's end is waited for holds nobody up.
        world.jobs.add(work_s=5.0)
        await world.until(lambda: world.view("any-1").job_id)
        world.supervisor.resume_slots(slot="any-0")
        await world.until(lambda: world.view("any-0").state is SlotState.IDLE)
        world.supervisor.restart(None)
        await trio.sleep(0.5)
        world.supervisor.drain_slots(slot="any-1")
        await world.until(lambda: world.view("any-1").state is SlotState.DRAINED)


async def test_what_is_not_there_cannot_be_drained(autojump_clock):
    async with open_world() as world:
        with pytest.raises(
            NotFoundError, match=r"no slot named 'any-7'; close to it: any-0, any-1"
        ):
            world.supervisor.drain_slots(slot="any-7")
        with pytest.raises(NotFoundError, match="no host named 'far'; close to it: local"):
            world.supervisor.resume_slots(host="far")
        for wrong in ({}, {"slot": "any-0", "host": "local"}):
            with pytest.raises(InvalidArgumentError, match="either a slot or a host"):
                world.supervisor.drain_slots(**wrong)
        world.supervisor.drain_slots(slot="any-0")
        await world.supervisor.drain(10.0)
        assert world.supervisor.list_workers() == ()
        with pytest.raises(UnavailableError):
            world.supervisor.resume_slots(slot="any-0")


async def test_only_workers_that_are_replaced_or_drained_are_relieved(autojump_clock):
    async with open_world() as world:
        world.jobs.add(work_s=5.0)
        await world.until(lambda: any(view.job_id for view in world.supervisor.list_workers()))
        [busy] = [view for view in world.supervisor.list_workers() if view.job_id]
        world.supervisor.begin_drain()
        # The engine stops: nobody else is to do it.
        assert not world.supervisor.is_relieved(busy.worker_id)
    async with open_world() as world:
        worker_id = world.view("any-0").worker_id
        assert not world.supervisor.is_relieved(worker_id)
        world.supervisor.drain_slots(slot="any-0")
        assert world.supervisor.is_relieved(worker_id)
