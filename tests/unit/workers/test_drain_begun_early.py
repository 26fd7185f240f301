"""A drain that is begun while other parts of the engine are still stopping."""

import pytest
import trio

from engine.records import Receipt
from engine.workers.supervisor import Supervisor
from engine.workers.supervisor_settings import SupervisorSettings
from tests.support.virtual_workers import VirtualHost, VirtualJobs

SETTINGS = SupervisorSettings(slots=(("any-0", None), ("any-1", None)), stall_s=1_000.0)


class Journal:
    async def submit(self, request):
        await trio.lowlevel.checkpoint()
        return Receipt(1, 1)


async def test_the_grace_counts_from_where_the_drain_was_begun(autojump_clock):
    host = VirtualHost()
    jobs = VirtualJobs(host)
    supervisor = Supervisor(SETTINGS, jobs, host, Journal())
    host.supervisor, host.jobs = supervisor, jobs
    async with trio.open_nursery() as nursery:
        host.nursery = nursery
        await nursery.start(supervisor.run)
        jobs.add(work_s=100.0)
        await trio.sleep(5)

        began_s = trio.current_time()
        supervisor.begin_drain()
        await trio.sleep(6)
        [left] = supervisor.list_workers()
        assert left.job_id
        await supervisor.drain(10.0)

        assert trio.current_time() - began_s == pytest.approx(10.0, abs=0.5)
        assert supervisor.list_workers() == ()
        nursery.cancel_scope.cancel()
