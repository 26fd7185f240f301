"""Redis goes away, comes back, comes back empty, loses answers; engines end without a word."""

import json
from functools import partial

import attrs
import pytest
import trio

from engine.errors import BackendUnavailableError
from engine.jobs import AttemptEnd, Cause, JobHooks, JobResult, JobSpec, JobState
from engine.jobs.lease_queue import LeaseQueue
from engine.jobs.queue_keys import QueueKeys
from engine.jobs.queue_records import Enqueue, LiveRecord
from tests.integration.jobs.world import effect, eventually

SPEC = JobSpec("noop", max_attempts=2)
DIED = AttemptEnd(Cause.DIED, "killed", charged=True)


def result(job):
    return JobResult(job.job_id, job.token)


def ids(jobs):
    return [job.job_id for job in jobs]


async def submit(jobs, count=1, spec=SPEC):
    return [(await jobs.submit(spec)).job_id for _ in range(count)]


async def claim(jobs, slot="a", most=1, wait_s=10.0):
    return await jobs.claim(slot, None, most, wait_s)


async def complete(jobs, held, slot="a"):
    verdicts = await jobs.complete(slot, [result(job) for job in held])
    assert all(verdict.accepted for verdict in verdicts)


async def states(jobs, submitted):
    return [str((await jobs.get(job_id)).state) for job_id in submitted]


async def stop_redis(world):
    await trio.to_thread.run_sync(world.server.kill)


async def start_redis(world):
    await trio.to_thread.run_sync(world.server.start)


async def ended_so(jobs, job_id, state):
    return await states(jobs, [job_id]) == [state]


async def test_jobs_are_accepted_while_redis_is_away(jobs, world):
    await stop_redis(world)
    submitted = await submit(jobs, 3)
    assert await claim(jobs, wait_s=0.1) == []
    assert await states(jobs, submitted) == ["QUEUED"] * 3
    assert ids((await jobs.list()).jobs) == submitted[::-1]
    with pytest.raises(BackendUnavailableError):
        await jobs.stats()
    await start_redis(world)
    assert ids(await claim(jobs, most=5)) == submitted


async def test_an_engine_starts_while_redis_is_away(world):
    await stop_redis(world)
    async with world.open() as jobs:
        submitted = await submit(jobs)
        assert await states(jobs, submitted) == ["QUEUED"]
        await start_redis(world)
        assert ids(await claim(jobs)) == submitted


async def test_results_are_taken_while_redis_is_away(jobs, world):
    submitted = await submit(jobs, 3)
    held = await claim(jobs, most=2)
    await stop_redis(world)
    await complete(jobs, held)
    assert await states(jobs, submitted) == ["SUCCEEDED", "SUCCEEDED", "QUEUED"]
    await start_redis(world)
    assert ids(await claim(jobs, most=5)) == submitted[2:]
    depths = (await jobs.stats()).by_pool["default"]
    assert (depths.ready, depths.leased) == (0, 1)


async def test_jobs_are_cancelled_and_run_again_while_redis_is_away(jobs, world):
    first, second, third = await submit(jobs, 3)
    held = await claim(jobs)
    await stop_redis(world)
    assert (await jobs.cancel(second)).state is JobState.CANCELLED
    assert (await jobs.cancel(first)).cancel_requested
    await jobs.release("a", running=first, end=DIED, back_to="slot")
    assert (await jobs.retry(first)).state is JobState.QUEUED
    await start_redis(world)
    again = await claim(jobs, most=5)
    assert sorted(ids(again)) == [first, third]
    assert {job.job_id: job.run for job in again} == {first: 2, third: 1}
    assert held[0].run == 1


async def test_what_a_slot_gave_back_while_redis_was_away_is_still_its_own(jobs, world):
    submitted = await submit(jobs, 2)
    held = await claim(jobs, most=2)
    await stop_redis(world)
    await jobs.release("a", running=held[0].job_id, end=DIED, back_to="slot")
    await start_redis(world)
    assert await claim(jobs, "b", wait_s=1.0) == []
    again = await claim(jobs, "a", most=2)
    assert ids(again) == submitted
    assert [(job.attempt, job.failures) for job in again] == [(2, 1), (1, 0)]


@pytest.mark.parametrize("away", ["emptied", "killed", "set back"])
async def test_who_holds_a_job_goes_on_with_it(jobs, world, away):
    submitted = await submit(jobs, 4)
    held = await claim(jobs, "a", most=2)
    other = await claim(jobs, "b")
    if away == "emptied":
        world.client.flushall()
    elif away == "killed":
        await stop_redis(world)
        await start_redis(world)
    else:
        world.client.hincrby(f"{{{world.queue_name}}}:1:meta", "writes", -1)
    rest = await claim(jobs, "c", most=5)
    assert ids(rest) == submitted[3:]
    await complete(jobs, held)
    await complete(jobs, other, "b")
    await complete(jobs, rest, "c")
    assert await states(jobs, submitted) == ["SUCCEEDED"] * 4
    assert await claim(jobs, wait_s=0.1) == []


async def test_an_emptied_redis_has_attempts_and_delays_restored(jobs, world):
    [charged] = await submit(jobs)
    [job] = await claim(jobs)
    await jobs.release("a", running=job.job_id, end=DIED, back_to="queue")
    [delayed] = await submit(jobs, spec=attrs.evolve(SPEC, delay_s=60.0))
    [foremost] = await submit(jobs, spec=attrs.evolve(SPEC, priority=5))
    world.client.flushall()
    again = await claim(jobs, most=5)
    assert ids(again) == [foremost, charged]
    assert [(job.attempt, job.failures) for job in again] == [(1, 0), (2, 1)]
    assert (await jobs.get(delayed)).state is JobState.SCHEDULED
    assert (await jobs.stats()).by_pool["default"].delayed == 1


async def test_an_idle_queue_notices_that_it_was_emptied(jobs, world):
    await submit(jobs, spec=attrs.evolve(SPEC, delay_s=60.0))
    await eventually(lambda: world.client.keys("*:live"))
    world.client.flushall()
    await eventually(lambda: world.client.keys("*:live"))


async def test_a_claim_whose_answer_is_lost_loses_nothing(jobs, world):
    for answers in (1, 2, 5):
        submitted = await submit(jobs, 3)
        await jobs.claim("z", None, 1, 0.0)  # so that nothing else is on its way
        held = list(jobs.held("z"))
        world.client.answers_to_lose = answers
        held += await claim(jobs, most=1)
        held += await claim(jobs, "b", most=5)
        assert sorted(ids(held)) == submitted
        assert {job.attempt for job in held} == {1}
        for slot in "zab":
            await complete(jobs, jobs.held(slot), slot)


async def test_calls_that_do_not_arrive_are_made_again(jobs, world):
    submitted = await submit(jobs, 2)
    world.client.calls_to_lose = 2
    held = await claim(jobs, most=2)
    assert ids(held) == submitted
    world.client.calls_to_lose = 20
    await complete(jobs, held)
    await submit(jobs)
    assert len(await claim(jobs, "b")) == 1


async def test_rebuilding_waits_for_claims_under_way(jobs, world):
    [job_id] = await submit(jobs)
    assert await jobs.claim("z", ["none"], 1, 0.05) == []
    arrived, go_on = world.client.hold_up_answer()
    got = []

    async def claim_it():
        got.extend(await claim(jobs))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim_it)
        await eventually(arrived.is_set)
        await trio.to_thread.run_sync(world.client.flushall)
        # Noticed by the next change; the answer of the claim is still on its way.
        await submit(jobs, spec=attrs.evolve(SPEC, delay_s=60.0))
        with trio.move_on_after(0.3):
            await claim(jobs, "b", wait_s=0.3)
        go_on.set()
    assert ids(got) == [job_id]
    assert await claim(jobs, "b", wait_s=0.5) == []
    await complete(jobs, got)
    assert await states(jobs, [job_id]) == ["SUCCEEDED"]


async def test_leases_of_a_lost_engine_go_back_uncharged(world):
    async with world.open_until_killed() as jobs:
        submitted = await submit(jobs, 3)
        await claim(jobs, "a", most=2)
        await jobs.wait_queue_open()
    async with world.open() as jobs:
        assert await states(jobs, submitted) == ["QUEUED"] * 3
        again = await claim(jobs, "other", most=5)
        assert ids(again) == submitted
        assert [(job.attempt, job.failures) for job in again] == [(2, 0), (2, 0), (1, 0)]
        view = await jobs.get(submitted[0])
        assert [(one.attempt, str(one.cause)) for one in view.attempts] == [(1, "engine_lost")]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_is_given_back_before_a_stop_was_never_begun(world, cancelled):
    with trio.CancelScope() as scope:
        async with world.open() as jobs:
            submitted = await submit(jobs, 2)
            await claim(jobs, most=2)
            await jobs.release("a", running=None, end=DIED, back_to="queue")
            if cancelled:
                scope.cancel()
    async with world.open() as jobs:
        again = await claim(jobs, most=2)
        assert [(job.job_id, job.attempt) for job in again] == [(one, 1) for one in submitted]
        assert (await jobs.get(submitted[0])).attempts == ()


async def test_what_was_given_back_to_a_slot_of_a_lost_engine_is_anyones(world):
    async with world.open_until_killed() as jobs:
        submitted = await submit(jobs)
        [job] = await claim(jobs)
        await jobs.release("a", running=job.job_id, end=DIED, back_to="slot")
        await jobs.claim("b", None, 1, 0.0)
    async with world.open() as jobs:
        [again] = await claim(jobs, "other")
        assert (again.job_id, again.attempt, again.failures) == (submitted[0], 2, 1)


async def test_outcomes_that_a_lost_engine_did_not_tell_redis_are_final(world):
    async with world.open_until_killed() as jobs:
        submitted = await submit(jobs, 3)
        held = await claim(jobs, most=2)
        await stop_redis(world)
        await complete(jobs, held[:1])
        await jobs.release("a", running=held[1].job_id, end=DIED, back_to="slot")
        await jobs.cancel(submitted[2])
    await start_redis(world)
    async with world.open() as jobs:
        [again] = await claim(jobs, most=5)
        assert (again.job_id, again.attempt, again.failures) == (submitted[1], 2, 1)
        assert await states(jobs, submitted) == ["SUCCEEDED", "RUNNING", "CANCELLED"]


async def test_a_cancellation_that_a_lost_engine_promised_is_kept(world):
    told = []

    def hook(ended):
        told.append(str(ended.state))
        return (effect(1),)

    world.hooks = {"noop": JobHooks(fail=hook)}
    for redis_too in (False, True):
        async with world.open_until_killed() as jobs:
            [job_id] = await submit(jobs)
            await claim(jobs)
            await jobs.cancel(job_id)
        if redis_too:
            world.client.flushall()
        async with world.open() as jobs:
            assert await claim(jobs, wait_s=0.2) == []
            await eventually(partial(ended_so, jobs, job_id, "CANCELLED"))
    assert told == ["CANCELLED"] * 2
    assert len(await world.rows("SELECT * FROM events")) == 2


async def test_a_cancellation_is_repeated_while_the_promised_one_is_being_kept(world):
    async with world.open_until_killed() as jobs:
        submitted = await submit(jobs, 20)
        await claim(jobs, most=20)
        for job_id in submitted:
            await jobs.cancel(job_id)
    async with world.open() as jobs, trio.open_nursery() as nursery:
        for job_id in submitted:
            nursery.start_soon(jobs.cancel, job_id)
        await jobs.wait_queue_open()
    async with world.open() as jobs:
        assert await states(jobs, submitted) == ["CANCELLED"] * 20


async def test_an_engine_that_was_replaced_can_do_nothing_more(world):
    async with world.open() as old:
        submitted = await submit(old, 2)
        await claim(old)
        async with world.open() as new:
            await new.wait_queue_open()
            assert len(await claim(new, "n", most=5)) == 2
            assert (await new.get(submitted[0])).attempt == 2


async def test_a_clock_that_was_set_back_delays_nothing_further(world, monkeypatch):
    async with world.open() as jobs:
        [job_id] = await submit(jobs, spec=attrs.evolve(SPEC, delay_s=1.0))
        await jobs.claim("a", None, 1, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("engine.jobs.job_clock.read_clock_us", lambda: 1_500_000_000_000_000)
        async with world.open() as jobs:
            assert ids(await claim(jobs, wait_s=3.0)) == [job_id]
            [later] = await submit(jobs)
            assert later > job_id
            assert ids(await claim(jobs)) == [later]


async def test_jobs_of_another_data_file_are_forgotten(jobs, world):
    submitted = await submit(jobs)
    assert ids(await claim(jobs)) == submitted
    stranger = LeaseQueue(lambda: world.client, QueueKeys(world.queue_name))
    stranger.adopt("stranger")
    stranger.add_pools(["default"])
    stranger.apply([Enqueue("0" * 26, LiveRecord("ready", 1, 0, 0, "default", 0), "[]")], 0)
    assert await claim(jobs, wait_s=2.0) == []
    assert world.client.hkeys(f"{{{world.queue_name}}}:1:live") == [submitted[0].encode()]


@pytest.mark.parametrize("fault", ["kill", "flush"])
async def test_every_job_ends_once_though_redis_is_lost_again_and_again(world, fault):
    count = 1_500

    async def hook(job, value):
        return (effect(json.loads(job.payload_json)["n"]),)

    world.hooks = {"noop": JobHooks(complete=hook)}
    async with world.open() as jobs:
        submitted = []
        busy = True

        async def produce(first):
            for number in range(first, count, 3):
                submission = await jobs.submit(JobSpec("noop", {"n": number}))
                submitted.append(submission.job_id)

        async def work(slot):
            while busy:
                if held := await jobs.claim(slot, None, 32, 0.2):
                    await complete(jobs, held, slot)

        async def disturb():
            for _ in range(4):
                await trio.sleep(0.4)
                if fault == "flush":
                    await trio.to_thread.run_sync(world.client.flushall)
                else:
                    await stop_redis(world)
                    await start_redis(world)

        async with trio.open_nursery() as nursery:
            for slot in "abc":
                nursery.start_soon(work, slot)
            async with trio.open_nursery() as others:
                others.start_soon(disturb)
                for first in range(3):
                    others.start_soon(produce, first)
            await eventually(lambda: all_ended(world, count), within_s=30.0)
            busy = False
    [(events, distinct)] = await world.rows("SELECT count(*), count(DISTINCT user_id) FROM events")
    assert (events, distinct) == (count, count)
    assert len(set(submitted)) == count


async def all_ended(world, count):
    [(ended,)] = await world.rows("SELECT count(*) FROM job_outcomes WHERE state = 'SUCCEEDED'")
    return ended == count
