import gc

import attrs
import pytest
import trio
import trio.testing

from engine.errors import UnavailableError
from engine.jobs import JobState
from engine.jobs.job_changes import JobChanges
from engine.jobs.watching import JobWatch


@attrs.define
class FollowedJob:
    """What of a job's view a watcher looks at."""

    state: JobState

    async def follow(self, job_id, seen):
        await trio.lowlevel.checkpoint()
        return attrs.evolve(self)


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


async def test_a_watcher_is_told_when_watching_ends_before_the_job(autojump_clock):
    changes, job = JobChanges(), FollowedJob(JobState.RUNNING)
    watch = JobWatch("j1", job.follow, changes)
    assert (await anext(watch)).state is JobState.RUNNING
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_unavailable, watch)
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(1)
        changes.end()
    await _expect_unavailable(JobWatch("j2", job.follow, changes))


async def test_a_watcher_sees_the_end_of_a_job_also_when_watching_ends(autojump_clock):
    changes, job = JobChanges(), FollowedJob(JobState.RUNNING)
    watch = JobWatch("j1", job.follow, changes)
    await anext(watch)
    job.state = JobState.SUCCEEDED
    changes.end()
    assert [view.state async for view in watch] == [JobState.SUCCEEDED]


async def _expect_unavailable(watch):
    with pytest.raises(UnavailableError, match="watch it again"):
        await anext(watch)
