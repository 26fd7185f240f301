import gc

import trio
import trio.testing

from engine.jobs.job_changes import JobChanges


def test_only_those_who_wait_are_remembered():
    changes = JobChanges()
    event = changes.next_change("j1")
    assert changes.next_change("j1") is event
    del event
    gc.collect()
    assert len(changes._event_of) == 0


async def test_a_change_wakes_all_who_watch_that_job():
    changes = JobChanges()
    woken = []

    async def watch(job_id):
        await changes.next_change(job_id).wait()
        woken.append(job_id)

    async with trio.open_nursery() as nursery:
        for job_id in ("j1", "j1", "j2"):
            nursery.start_soon(watch, job_id)
        await trio.testing.wait_all_tasks_blocked()
        changes.tell("j1")
        await trio.testing.wait_all_tasks_blocked()
        assert woken == ["j1", "j1"]
        nursery.cancel_scope.cancel()


def test_nobody_needs_to_watch():
    JobChanges().tell("j1")
