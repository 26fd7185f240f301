"""Jobs from acceptance to their end, over a real data file and a real server."""

import attrs
import pytest
import trio

from engine.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    SchemaMismatchError,
    StaleTokenError,
    TrellisError,
)
from engine.jobs import (
    AttemptEnd,
    Cause,
    JobFailure,
    JobFilter,
    JobResult,
    JobSpec,
    JobState,
)
from engine.jobs.jobs import open_jobs
from tests.integration.jobs.world import effect, eventually, refused_effect
from tests.support.redis_servers import running_cluster

SPEC = JobSpec("noop", {"n": 1}, max_attempts=2)
DIED = AttemptEnd(Cause.DIED, "killed by SIGKILL", "Thread 1", charged=True)


def result(job, text="{}"):
    return JobResult(job.job_id, job.token, text, worker_id="w1", pid=7)


def failure(job, **options):
    return JobFailure(job.job_id, job.token, "broken", "it broke", **options)


async def submit(jobs, spec=SPEC, count=1):
    return [(await jobs.submit(spec)).job_id for _ in range(count)]


async def claim(jobs, slot="a", most=1, pools=None, wait_s=5.0):
    return await jobs.claim(slot, pools, most, wait_s)


def ids(jobs):
    return [job.job_id for job in jobs]


def causes(view):
    return [(one.attempt, str(one.cause), one.charged) for one in view.attempts]


async def test_a_job_is_accepted_run_and_ended(jobs):
    spec = JobSpec("noop", {"text": "äß\n"}, priority=3, request_id="r1", max_attempts=4)
    [job_id] = await submit(jobs, spec)
    queued = await jobs.get(job_id)
    assert (queued.state, queued.attempt, queued.attempts) == (JobState.QUEUED, 0, ())
    [job] = await claim(jobs)
    assert (job.job_id, job.run, job.attempt, job.failures) == (job_id, 1, 1, 0)
    assert (job.job_type, job.priority, job.request_id, job.max_attempts) == ("noop", 3, "r1", 4)
    assert job.payload_json == '{"text":"äß\\n"}'
    running = await jobs.get(job_id)
    assert (running.state, running.slot, running.attempt) == (JobState.RUNNING, "a", 1)
    [verdict] = await jobs.complete("a", [result(job, '{"rows": 5}')])
    assert (verdict.accepted, verdict.state) == (True, JobState.SUCCEEDED)
    ended = await jobs.get(job_id)
    assert (ended.state, ended.result_json) == (JobState.SUCCEEDED, '{"rows": 5}')
    assert (ended.worker_id, ended.slot) == ("w1", "a")
    assert ended.accepted_at_us <= ended.started_at_us <= ended.finished_at_us
    assert causes(ended) == [(1, "completed", False)]


def _nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (JobSpec(""), "job_type"),
        (JobSpec("x", {"a": float("nan")}), "payload_json"),
        (JobSpec("x", {"a": object()}), "payload_json"),
        (JobSpec("x", {"a": "\ud800"}), "payload_json"),
        (JobSpec("x", {"a": "x" * 2_000_000}), "payload_json"),
        (JobSpec("x", {"a": _nested(5_000)}), "payload_json"),
        (JobSpec("x", priority=1001), "priority"),
        (JobSpec("x", delay_s=float("nan")), "delay_s"),
        (JobSpec("x", max_attempts=0), "max_attempts"),
        (JobSpec("x", idempotency_key=""), "idempotency_key"),
        (JobSpec("x", pool="a\nb"), "pool"),
    ],
)
async def test_what_cannot_be_a_job_is_refused(jobs, spec, field):
    with pytest.raises(InvalidArgumentError) as caught:
        await jobs.submit(spec)
    assert caught.value.field == field


async def test_operations_land_with_the_acceptance_or_not_at_all(jobs, world):
    job_id = jobs.new_job_id()
    assert (await jobs.submit(SPEC, [effect(5)], job_id)).job_id == job_id
    with pytest.raises(SchemaMismatchError):
        await jobs.submit(SPEC, [refused_effect()])
    assert await world.rows("SELECT user_id FROM events") == [(5,)]
    assert ids(await claim(jobs, most=10)) == [job_id]


async def test_an_idempotency_key_leads_to_one_job(jobs, world):
    spec = attrs.evolve(SPEC, idempotency_key="k1")
    submissions = []

    async def submit_one():
        submissions.append(await jobs.submit(spec, [effect(1)]))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(submit_one)
    assert len({one.job_id for one in submissions}) == 1
    assert [one.created for one in submissions].count(True) == 1
    assert len(await world.rows("SELECT * FROM events")) == 1
    world.client.flushall()
    assert not (await jobs.submit(spec)).created


async def test_a_waiting_claim_gets_a_job_as_soon_as_there_is_one(jobs):
    got = []

    async def wait_for_one():
        got.extend(await claim(jobs, wait_s=10.0))

    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_one)
        await trio.sleep(0.1)
        await submit(jobs)
    assert len(got) == 1
    assert trio.current_time() - started < 2.0


async def test_a_claim_that_finds_nothing_ends_in_time(jobs):
    started = trio.current_time()
    assert await claim(jobs, wait_s=0.2) == []
    assert 0.15 < trio.current_time() - started < 2.0
    assert await claim(jobs, wait_s=0.0) == []


async def test_waiting_claims_do_not_ask_redis(jobs, world):
    before = world.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert await claim(jobs, wait_s=1.5) == []
    # One look, and what keeps watch of the queue once a second.
    assert world.client.info("commandstats")["cmdstat_evalsha"]["calls"] - before <= 5


async def test_a_delayed_job_is_handed_out_when_it_is_due(jobs):
    [job_id] = await submit(jobs, attrs.evolve(SPEC, delay_s=0.3))
    view = await jobs.get(job_id)
    assert (view.state, view.due_at_us - view.accepted_at_us) == (JobState.SCHEDULED, 300_000)
    started = trio.current_time()
    assert ids(await claim(jobs)) == [job_id]
    assert 0.2 < trio.current_time() - started < 1.5


async def test_only_named_pools_are_claimed_from(jobs):
    [heavy] = await submit(jobs, attrs.evolve(SPEC, pool="heavy"))
    assert await claim(jobs, pools=["default"], wait_s=0.1) == []
    assert ids(await claim(jobs, pools=["default", "heavy"])) == [heavy]


async def test_tokens_tell_jobs_of_one_claim_apart(jobs):
    await submit(jobs, count=5)
    assert len({job.token for job in await claim(jobs, most=5)}) == 5


async def test_stale_results_change_nothing_and_concern_nobody_else(jobs):
    await submit(jobs, count=2)
    lost, kept = await claim(jobs, most=2)
    await jobs.release("a", running=lost.job_id, end=DIED, back_to="slot")
    again = {job.job_id: job for job in await claim(jobs, most=2)}
    verdicts = await jobs.complete("a", [result(lost), result(again[kept.job_id])])
    assert [verdict.accepted for verdict in verdicts] == [False, True]
    assert verdicts[0].state is None
    with pytest.raises(StaleTokenError):
        await jobs.fail("a", failure(lost))
    with pytest.raises(StaleTokenError):
        await jobs.fail("b", failure(again[lost.job_id]))
    assert (await jobs.get(lost.job_id)).state is JobState.RUNNING


async def test_a_repeated_report_is_answered_as_the_first_time(jobs):
    await submit(jobs, count=3)
    one, two, three = await claim(jobs, most=3)
    first = await jobs.complete("a", [result(one), result(one)])
    assert [verdict.accepted for verdict in first] == [True, True]
    assert await jobs.complete("a", [result(one)]) == first[:1]
    state = await jobs.fail("a", failure(two))
    assert await jobs.fail("a", failure(two)) is state

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(jobs.complete, "a", [result(three)])
    assert (await jobs.get(three.job_id)).attempt == 1


async def test_effects_land_with_the_outcome(jobs, hooks, world):
    async def hook(job, value):
        return (effect(value["n"]),)

    hooks.complete = hook
    await submit(jobs, count=3)
    held = await claim(jobs, most=3)
    verdicts = await jobs.complete("a", [result(j, f'{{"n": {n}}}') for n, j in enumerate(held)])
    assert all(verdict.accepted for verdict in verdicts)
    rows = await world.rows(
        "SELECT user_id FROM events e JOIN job_outcomes o USING (commit_seq) "
        "WHERE o.state = 'SUCCEEDED' GROUP BY 1 ORDER BY 1"
    )
    assert rows == [(0,), (1,), (2,)]


async def test_an_attempt_that_something_was_out_of_reach_for_is_not_charged(jobs):
    [job_id] = await submit(jobs, attrs.evolve(SPEC, max_attempts=1))
    for attempt in (1, 2, 3):
        [job] = await claim(jobs)
        assert (job.attempt, job.failures) == (attempt, 0)
        assert await jobs.fail("a", failure(job, out_of_reach=True)) is JobState.SCHEDULED
    seen = await jobs.get(job_id)
    assert {(one.cause, one.charged) for one in seen.attempts} == {(Cause.OUT_OF_REACH, False)}
    [job] = await claim(jobs)
    assert await jobs.fail("a", failure(job)) is JobState.DEAD


@pytest.mark.parametrize(
    "way", ["raises", "raises ours", "is refused", "not json", "no object", "deep", "endless"]
)
async def test_a_result_that_cannot_be_taken_ends_its_own_attempt_alone(jobs, hooks, world, way):
    async def hook(job, value):
        if not value:
            return ()
        if way == "raises":
            raise ZeroDivisionError
        if way == "raises ours":
            raise TrellisError("no")
        return (effect(1), refused_effect())

    hooks.complete = hook
    good, bad = await submit(jobs, count=2)
    held = {job.job_id: job for job in await claim(jobs, most=2)}
    levels = {"deep": 101, "endless": 5_000}.get(way, 1)
    text = {"not json": "{", "no object": "[1]"}.get(way, '{"n":' * levels + "1" + "}" * levels)
    verdicts = await jobs.complete("a", [result(held[bad], text), result(held[good])])
    assert [verdict.accepted for verdict in verdicts] == [False, True]
    assert verdicts[0].state is JobState.SCHEDULED
    assert verdicts[0].reason
    assert await world.rows("SELECT * FROM events") == []
    [again] = await claim(jobs)
    assert (again.job_id, again.attempt, again.failures) == (bad, 2, 1)
    await jobs.complete("a", [result(again, text)])
    ended = await jobs.get(bad)
    assert (ended.state, ended.error_code) == (JobState.DEAD, "result_refused")


async def test_an_error_is_tried_again_later_and_later(jobs, world):
    [job_id] = await submit(jobs, attrs.evolve(SPEC, max_attempts=3))
    states = []
    for number in range(3):
        [job] = await claim(jobs)
        assert (job.attempt, job.failures) == (number + 1, number)
        states.append(await jobs.fail("a", failure(job, stack="line 1")))
    assert states == [JobState.SCHEDULED, JobState.SCHEDULED, JobState.DEAD]
    rows = await world.rows(
        "SELECT epoch_us(due_at) - epoch_us(logged_at) FROM job_log "
        "WHERE change = 'attempt_ended' ORDER BY attempt"
    )
    assert rows[:2] == [pytest.approx((15_000,), abs=5_000), pytest.approx((30_000,), abs=5_000)]
    view = await jobs.get(job_id)
    assert (view.failures, view.error_code, view.error_message) == (3, "broken", "it broke")
    assert causes(view) == [(n, "error", True) for n in (1, 2, 3)]
    assert view.attempts[0].stack == "line 1"
    await eventually(lambda: is_at(jobs, dead=1))


async def test_a_permanent_error_is_not_tried_again(jobs):
    [job_id] = await submit(jobs)
    [job] = await claim(jobs)
    assert await jobs.fail("a", failure(job, permanent=True)) is JobState.FAILED
    assert (await jobs.get(job_id)).state is JobState.FAILED


async def test_a_handler_may_say_when_to_try_again(jobs):
    await submit(jobs)
    [job] = await claim(jobs)
    assert await jobs.fail("a", failure(job, retry_after_s=0.0)) is JobState.QUEUED
    [again] = await claim(jobs)
    assert await jobs.fail("a", failure(again, retry_after_s=100.0)) is JobState.DEAD


async def test_the_end_of_a_job_is_told_to_its_hook(jobs, hooks, world):
    told = []

    def hook(ended):
        told.append((ended.job_id, str(ended.state), ended.code))
        return (effect(len(told)),)

    hooks.fail = hook
    failed, dead, cancelled = await submit(jobs, attrs.evolve(SPEC, max_attempts=1), count=3)
    held = await claim(jobs, most=2)
    await jobs.fail("a", failure(held[0], permanent=True))
    await jobs.release("a", running=dead, end=DIED, back_to="slot")
    await jobs.cancel(cancelled)
    assert told == [
        (failed, "FAILED", "broken"),
        (dead, "DEAD", "died"),
        (cancelled, "CANCELLED", "cancelled"),
    ]
    assert await world.rows("SELECT user_id FROM events ORDER BY 1") == [(1,), (2,), (3,)]


@pytest.mark.parametrize("way", ["raises", "is refused"])
async def test_a_job_ends_whatever_its_failure_hook_does(jobs, hooks, way):
    def hook(ended):
        if way == "raises":
            raise ZeroDivisionError
        return (refused_effect(),)

    hooks.fail = hook
    first, second = await submit(jobs, count=2)
    [job] = await claim(jobs)
    assert await jobs.fail("a", failure(job, permanent=True)) is JobState.FAILED
    assert (await jobs.cancel(second)).state is JobState.CANCELLED
    assert (await jobs.get(first)).state is JobState.FAILED


async def test_a_dead_workers_jobs_go_to_its_successor_first(jobs):
    submitted = await submit(jobs, count=5)
    held = await claim(jobs, most=3)
    await jobs.release("a", running=held[1].job_id, end=DIED, back_to="slot")
    assert ids(await claim(jobs, "b", most=2)) == submitted[3:]
    again = await claim(jobs, "a", most=5)
    assert ids(again) == submitted[:3]
    assert [(job.attempt, job.failures) for job in again] == [(1, 0), (2, 1), (1, 0)]
    assert causes(await jobs.get(held[1].job_id)) == [(1, "died", True)]
    [ended] = (await jobs.get(held[1].job_id)).attempts
    assert (ended.detail, ended.stack) == ("killed by SIGKILL", "Thread 1")
    assert (await jobs.get(held[0].job_id)).attempts == ()


async def test_what_went_back_to_a_slot_that_is_closed_goes_to_anyone(jobs):
    submitted = await submit(jobs, count=2)
    held = await claim(jobs, most=2)
    await jobs.release("a", running=held[0].job_id, end=DIED, back_to="slot")
    assert await claim(jobs, "b", most=2, wait_s=0.1) == []
    jobs.let_go("a")
    assert ids(await claim(jobs, "b", most=2)) == submitted


async def test_what_a_dead_worker_had_done_and_not_handed_in_is_an_attempt_and_not_charged(jobs):
    submitted = await submit(jobs, count=3)
    held = await claim(jobs, most=3)
    await jobs.release("a", running=held[1].job_id, done=[held[0].job_id], end=DIED, back_to="slot")
    again = await claim(jobs, "a", most=5)
    assert ids(again) == submitted
    assert [(job.attempt, job.failures) for job in again] == [(2, 0), (2, 1), (1, 0)]
    assert causes(await jobs.get(held[0].job_id)) == [(1, "died", False)]
    [ended] = (await jobs.get(held[0].job_id)).attempts
    assert (
        ended.detail
        == "its outcome, if it came to one, was lost with the worker: killed by SIGKILL"
    )
    assert ended.stack == ""


async def test_a_job_that_keeps_killing_its_worker_is_given_up(jobs):
    [job_id] = await submit(jobs)
    for _ in range(2):
        [job] = await claim(jobs)
        await jobs.release("a", running=job.job_id, end=DIED, back_to="slot")
    assert await claim(jobs, wait_s=0.1) == []
    view = await jobs.get(job_id)
    assert (view.state, view.error_code, view.failures) == (JobState.DEAD, "died", 2)


async def test_an_end_that_is_nobodys_fault_is_recorded_and_not_charged(jobs):
    [job_id] = await submit(jobs, attrs.evolve(SPEC, max_attempts=1))
    for _ in range(3):
        assert ids(await claim(jobs)) == [job_id]
        end = AttemptEnd(Cause.SHUTDOWN)
        await jobs.release("a", running=job_id, end=end, back_to="queue")
    view = await jobs.get(job_id)
    assert (view.state, view.failures) == (JobState.QUEUED, 0)
    assert causes(view) == [(n, "shutdown", False) for n in (1, 2, 3)]


async def test_a_parked_slots_jobs_are_anyones(jobs):
    submitted = await submit(jobs, count=2)
    held = await claim(jobs, most=2)
    await jobs.release("a", running=None, end=DIED, back_to="slot")
    assert await claim(jobs, "b", wait_s=0.1) == []
    await jobs.release("a", running=None, end=DIED, back_to="queue")
    assert ids(await claim(jobs, "b", most=5)) == submitted == ids(held)


async def test_release_waits_for_results_that_are_being_taken(jobs, hooks):
    entered, leave = trio.Event(), trio.Event()

    async def hook(job, value):
        entered.set()
        await leave.wait()
        return ()

    hooks.complete = hook
    first, second = await submit(jobs, count=2)
    held = await claim(jobs, most=2)
    released = trio.Event()

    async def release():
        await jobs.release("a", running=second, end=DIED, back_to="queue")
        released.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(jobs.complete, "a", [result(held[0])])
        await entered.wait()
        nursery.start_soon(release)
        await trio.testing.wait_all_tasks_blocked()
        assert not released.is_set()
        leave.set()
    assert (await jobs.get(first)).state is JobState.SUCCEEDED
    assert (await jobs.get(second)).failures == 1


async def test_a_cancelled_report_leaves_the_job_held(jobs, hooks):
    async def hook(job, value):
        await trio.sleep_forever()

    hooks.complete = hook
    await submit(jobs)
    [job] = await claim(jobs)
    with trio.move_on_after(0.05):
        await jobs.complete("a", [result(job)])
    assert jobs.held("a") == (job,)
    assert await jobs.fail("a", failure(job, permanent=True)) is JobState.FAILED


async def test_what_has_not_been_begun_can_be_given_back(jobs):
    submitted = await submit(jobs, count=3)
    held = await claim(jobs, most=3)
    await jobs.give_back("a", [(job.job_id, job.token) for job in held[1:]])
    assert ids(jobs.held("a")) == submitted[:1]
    again = await claim(jobs, "b", most=3)
    assert [(job.job_id, job.attempt) for job in again] == [(one, 1) for one in submitted[1:]]


async def test_a_job_that_waits_is_cancelled_at_once(jobs):
    queued, delayed = [
        *(await submit(jobs)),
        *(await submit(jobs, attrs.evolve(SPEC, delay_s=60.0))),
    ]
    for job_id in (queued, delayed):
        assert (await jobs.cancel(job_id)).state is JobState.CANCELLED
        assert (await jobs.cancel(job_id)).state is JobState.CANCELLED
    assert await claim(jobs, wait_s=0.1) == []
    depths = (await jobs.stats()).by_pool["default"]
    assert (depths.ready, depths.delayed, depths.leased) == (0, 0, 0)


async def test_a_running_job_is_cancelled_by_way_of_its_worker(jobs):
    first, second, third = await submit(jobs, count=3)
    held = await claim(jobs, most=3)
    for job in held:
        assert not jobs.is_cancel_requested(job.job_id, job.token)
        view = await jobs.cancel(job.job_id)
        assert (view.state, view.cancel_requested) == (JobState.RUNNING, True)
        assert jobs.is_cancel_requested(job.job_id, job.token)
    assert await jobs.fail("a", failure(held[0])) is JobState.CANCELLED
    [verdict] = await jobs.complete("a", [result(held[1])])
    assert verdict.state is JobState.SUCCEEDED
    await jobs.release("a", running=third, end=DIED, back_to="slot")
    view = await jobs.get(third)
    assert (view.state, view.failures) == (JobState.CANCELLED, 0)
    assert causes(view) == [(1, "cancelled", False)]
    assert (await jobs.get(first)).state is JobState.CANCELLED
    assert (await jobs.get(second)).state is JobState.SUCCEEDED


async def test_cancelling_meets_claiming(jobs):
    """However the two interleave, the job ends cancelled or is flagged, and never runs twice."""
    submitted = await submit(jobs, count=30)
    taken = []

    async def work(slot):
        for _ in range(12):
            held = await jobs.claim(slot, None, 2, 0.05)
            taken.extend(ids(held))
            for job in held:
                await jobs.fail(slot, failure(job, permanent=True))

    async def cancel(job_id):
        await jobs.cancel(job_id)

    async with trio.open_nursery() as nursery:
        for slot in "ab":
            nursery.start_soon(work, slot)
        for job_id in submitted:
            nursery.start_soon(cancel, job_id)
    assert len(taken) == len(set(taken))
    views = [await jobs.get(job_id) for job_id in submitted]
    assert {str(view.state) for view in views} <= {"CANCELLED", "FAILED"}
    depths = (await jobs.stats()).by_pool["default"]
    assert (depths.ready, depths.delayed, depths.leased) == (0, 0, 0)


async def test_a_job_that_is_cancelled_while_it_is_being_claimed_is_not_handed_out(jobs, world):
    cancelled, other = await submit(jobs, count=2)
    assert await claim(jobs, pools=["none"], wait_s=0.05) == []  # all before it has arrived
    arrived, go_on = world.client.hold_up_answer()
    got = []

    async def claim_both():
        got.extend(ids(await claim(jobs, most=2)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim_both)
        await eventually(arrived.is_set)
        assert (await jobs.cancel(cancelled)).state is JobState.CANCELLED
        go_on.set()
    assert got == [other]
    await eventually(lambda: is_at(jobs, ready=0, leased=1))


async def is_at(jobs, **numbers):
    depths = (await jobs.stats()).by_pool["default"]
    return all(getattr(depths, name) == number for name, number in numbers.items())


async def test_a_job_that_has_ended_can_be_run_again(jobs):
    [job_id] = await submit(jobs, attrs.evolve(SPEC, max_attempts=1))
    with pytest.raises(FailedPreconditionError):
        await jobs.retry(job_id)
    [job] = await claim(jobs)
    await jobs.release("a", running=job_id, end=DIED, back_to="slot")
    view = await jobs.retry(job_id)
    assert (view.run, view.state, view.failures) == (2, JobState.QUEUED, 0)
    with pytest.raises(FailedPreconditionError):
        await jobs.retry(job_id)
    [again] = await claim(jobs)
    assert (again.run, again.attempt, again.payload_json) == (2, 1, job.payload_json)
    await jobs.complete("a", [result(again)])
    view = await jobs.get(job_id)
    assert view.state is JobState.SUCCEEDED
    assert [(one.run, str(one.cause)) for one in view.attempts] == [(1, "died"), (2, "completed")]
    with pytest.raises(FailedPreconditionError, match="has succeeded"):
        await jobs.retry(job_id)


async def test_a_cancelled_job_can_be_run_again_at_once(jobs):
    [job_id] = await submit(jobs)
    await jobs.cancel(job_id)
    await jobs.retry(job_id)
    assert ids(await claim(jobs)) == [job_id]


async def test_jobs_are_listed_by_state_type_and_pool(jobs):
    [done] = await submit(jobs, attrs.evolve(SPEC, job_type="one"))
    await jobs.complete("a", [result(job) for job in await claim(jobs)])
    [running] = await submit(jobs)
    await claim(jobs)
    [heavy] = await submit(jobs, attrs.evolve(SPEC, pool="heavy"))
    [delayed] = await submit(jobs, attrs.evolve(SPEC, delay_s=60.0))

    async def listed(**wanted):
        return ids((await jobs.list(JobFilter(**wanted))).jobs)

    assert await listed() == [delayed, heavy, running, done]
    assert await listed(state=JobState.SUCCEEDED) == [done]
    assert await listed(state=JobState.RUNNING) == [running]
    assert await listed(state=JobState.QUEUED) == [heavy]
    assert await listed(state=JobState.SCHEDULED) == [delayed]
    assert await listed(job_type="one") == [done]
    assert await listed(pool="heavy", state=JobState.RUNNING) == []
    assert await listed(pool="heavy") == [heavy]


async def test_pages_follow_on_each_other(jobs):
    submitted = await submit(jobs, count=7)
    await claim(jobs, most=3)
    found, before = [], ""
    while True:
        page = await jobs.list(JobFilter(state=JobState.QUEUED), before=before, most=2)
        found.extend(ids(page.jobs))
        before = page.next_before
        if not before:
            break
    assert found == submitted[:2:-1]


async def test_unknown_jobs_are_named(jobs):
    with pytest.raises(InvalidArgumentError):
        await jobs.get("nothing")
    for call in (jobs.get, jobs.cancel, jobs.retry):
        with pytest.raises(NotFoundError):
            await call("0" * 26)


async def test_a_watcher_sees_a_job_to_its_end(jobs):
    [job_id] = await submit(jobs)
    states = []

    async def watch():
        states.extend([str(view.state) async for view in jobs.watch(job_id)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await eventually(lambda: states or True)
        await trio.sleep(0.1)
        [job] = await claim(jobs)
        await trio.sleep(0.3)
        await jobs.complete("a", [result(job)])
    assert states == ["QUEUED", "RUNNING", "SUCCEEDED"]


async def test_a_slow_watcher_sees_the_latest_state_and_holds_nobody_up(jobs):
    [job_id] = await submit(jobs)
    watch = jobs.watch(job_id)
    assert (await anext(watch)).state is JobState.QUEUED
    [job] = await claim(jobs)
    for counter in range(100):
        assert jobs.note_progress(job_id, job.token, counter, f"row {counter}", worker_id="w2")
    view = await anext(watch)
    assert (view.progress.counter, view.progress.note, view.worker_id) == (99, "row 99", "w2")
    await jobs.complete("a", [result(job)])
    assert not jobs.note_progress(job_id, job.token, 100)
    assert (await anext(watch)).state is JobState.SUCCEEDED
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_depths_and_ages_are_told(jobs):
    await submit(jobs, count=3)
    await submit(jobs, attrs.evolve(SPEC, delay_s=60.0))
    await claim(jobs)
    depths = (await jobs.stats()).by_pool["default"]
    assert (depths.ready, depths.delayed, depths.leased, depths.dead) == (2, 1, 1, 0)
    assert 0 <= depths.oldest_ready_age_s < 5


async def test_results_that_expired_in_redis_are_still_known(world):
    async with world.open(settings=attrs.evolve(world.settings, result_ttl_s=0.01)) as jobs:
        done, failed = await submit(jobs, count=2)
        first, second = await claim(jobs, most=2)
        await jobs.complete("a", [result(first, '{"n": 1}')])
        await jobs.fail("a", failure(second, permanent=True))
        await eventually(lambda: not world.client.keys("*:final"))
        assert (await jobs.get(done)).result_json == '{"n": 1}'
        await jobs.retry(failed)
        assert ids(await claim(jobs)) == [failed]


async def test_jobs_live_in_a_cluster_too(world):
    with running_cluster("redis6") as ports:
        import redis

        client = redis.RedisCluster(host="127.0.0.1", port=ports[0])
        try:
            async with open_jobs(
                lambda: client,
                world.store.writer,
                world.store.reader,
                world.settings,
                queue_name="test",
            ) as jobs:
                submitted = await submit(jobs, count=3)
                held = await claim(jobs, most=2)
                await jobs.complete("a", [result(held[0])])
                await jobs.release("a", running=held[1].job_id, end=DIED, back_to="slot")
                assert ids(await claim(jobs, most=5)) == submitted[1:]
        finally:
            client.close()
