"""JobService over real jobs: an embedded Redis and a data file."""

import contextlib

import pytest
import trio

from engine.config import JobTypeConfig
from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.jobs import JobFailure, JobResult, JobSpec
from engine.services import JobService
from engine.store import StoreSettings, open_store
from proto.trellis.v1 import jobs_pb2 as pb
from tests.integration.jobs.world import UnreliableClient, World, eventually
from tests.support.redis_servers import running_server

NO_JOB = "0" * 26


@pytest.fixture
async def jobs(tmp_path):
    with running_server("redis6") as server:
        client = UnreliableClient(server)
        with contextlib.closing(client):
            async with (
                open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store,
                World(store, server, client).open() as jobs,
            ):
                await jobs.wait_queue_open()
                yield jobs


async def submit(jobs, **options):
    return (await jobs.submit(JobSpec("work", {"n": 1}, **options))).job_id


async def claim(jobs):
    [job] = await jobs.claim("slot", None, 1, 5)
    return job


GRADE = JobTypeConfig(handler="mine:grade", pool="serve", max_attempts=7)


async def test_a_job_of_a_configured_type_is_accepted_once_under_its_key(jobs):
    service = JobService(jobs, {"grade": GRADE})
    request = pb.SubmitJobRequest(
        job_type="grade", payload_json='{"n": 2}', priority=3, idempotency_key="k"
    )
    first = await service.SubmitJob(request)
    again = await service.SubmitJob(request)
    assert (first.created, again.created, again.job_id) == (True, False, first.job_id)
    job = await jobs.get(first.job_id)
    assert (job.job_type, job.pool, job.priority, job.max_attempts) == ("grade", "serve", 3, 7)
    assert job.payload_json == '{"n":2}'


@pytest.mark.parametrize(
    ("request_fields", "error", "reason"),
    [
        ({"job_type": "grate"}, NotFoundError, "close to it: grade"),
        ({"job_type": ""}, InvalidArgumentError, "job_type: is empty"),
        ({"job_type": "process_upload"}, FailedPreconditionError, "UploadFile"),
        ({"job_type": "grade", "payload_json": "[]"}, InvalidArgumentError, "JSON object"),
        ({"job_type": "grade", "payload_json": "{"}, InvalidArgumentError, "is not JSON"),
        ({"job_type": "grade", "payload_json": '{"n": NaN}'}, InvalidArgumentError, "is not JSON"),
        (
            {"job_type": "grade", "payload_json": "[" * 100_000},
            InvalidArgumentError,
            "payload_json: is nested deeper than 100 levels",
        ),
        (
            {"job_type": "grade", "payload_json": '{"n":' * 101 + "1" + "}" * 101},
            InvalidArgumentError,
            "payload_json: is nested deeper than 100 levels",
        ),
        (
            {"job_type": "grade", "payload_json": '{"n": "' + 65_536 * "n" + '"}'},
            InvalidArgumentError,
            "at most 65536 are taken",
        ),
        (
            {"job_type": "grade", "payload_json": 393_217 * " "},
            InvalidArgumentError,
            "longer than 65536 bytes",
        ),
        ({"job_type": "grade", "delay_s": float("nan")}, InvalidArgumentError, "delay_s"),
        ({"job_type": "grade", "priority": 1_001}, InvalidArgumentError, "priority"),
    ],
)
async def test_a_job_that_cannot_be_is_refused_with_the_reason(jobs, request_fields, error, reason):
    with pytest.raises(error, match=reason):
        await JobService(jobs, {"grade": GRADE}).SubmitJob(pb.SubmitJobRequest(**request_fields))


async def test_a_payload_of_as_many_levels_as_may_be_is_handed_out_as_it_came(jobs):
    payload_json = '{"n":' * 100 + "1" + "}" * 100
    request = pb.SubmitJobRequest(job_type="grade", payload_json=payload_json)
    await JobService(jobs, {"grade": GRADE}).SubmitJob(request)
    [job] = await jobs.claim("slot", ("serve",), 1, 5)
    assert job.payload_json == payload_json


async def test_a_job_is_shown_with_its_attempts_once_it_has_failed(jobs):
    job_id = await submit(jobs, request_id="r-1", idempotency_key="k")
    job = await claim(jobs)
    failure = JobFailure(job_id, job.token, "bad_input", "no", permanent=True, stack="here")
    await jobs.fail("slot", failure)

    found = (await JobService(jobs, {}).GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert found.state == pb.JOB_STATE_FAILED
    assert (found.run, found.attempt, found.payload_json) == (1, 1, '{"n":1}')
    assert (found.error_code, found.error_message) == ("bad_input", "no")
    assert (found.request_id, found.idempotency_key) == ("r-1", "k")
    assert found.finished_at.ToMicroseconds() >= found.accepted_at.ToMicroseconds() > 0
    assert not found.HasField("due_at")
    [attempt] = found.attempts
    assert (attempt.cause, attempt.charged, attempt.stack) == ("error", True, "here")


async def test_pages_hold_every_job_once_the_latest_first(jobs):
    accepted = [await submit(jobs) for _ in range(5)]
    service = JobService(jobs, {})
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = await service.ListJobs(pb.ListJobsRequest(page_size=2, page_token=token))
        found += [job.job_id for job in page.jobs]
        token, pages = page.next_page_token, pages + 1
        await submit(jobs)  # comes before the first page and moves none
    assert found == accepted[::-1]


async def test_a_page_ends_before_it_outgrows_a_message(jobs):
    wanted = 3
    for _ in range(wanted):
        job_id = await submit(jobs)
        job = await claim(jobs)
        await jobs.complete(
            "slot", [JobResult(job_id, job.token, f'{{"text": "{"x" * 900_000}"}}')]
        )
    service = JobService(jobs, {})

    first = await service.ListJobs(pb.ListJobsRequest())
    second = await service.ListJobs(pb.ListJobsRequest(page_token=first.next_page_token))

    assert first.ByteSize() < 2 << 20
    ids = {job.job_id for job in (*first.jobs, *second.jobs)}
    assert (len(first.jobs), len(ids), second.next_page_token) == (2, wanted, "")


async def test_jobs_are_listed_by_state_and_pool(jobs):
    waiting = await submit(jobs, delay_s=60)
    heavy = await submit(jobs, pool="heavy")
    service = JobService(jobs, {})

    scheduled = await service.ListJobs(pb.ListJobsRequest(state=pb.JOB_STATE_SCHEDULED))
    in_pool = await service.ListJobs(pb.ListJobsRequest(pool="heavy"))

    assert [job.job_id for job in scheduled.jobs] == [waiting]
    assert scheduled.jobs[0].HasField("due_at")
    assert [job.job_id for job in in_pool.jobs] == [heavy]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ListJobsRequest(page_size=501), "page_size"),
        (pb.ListJobsRequest(page_token="before:"), "page_token"),
        (pb.ListJobsRequest(page_token="made up"), "page_token"),
        (pb.ListJobsRequest(page_token="before:zzz"), "page_token"),
        (pb.ListJobsRequest(state=99), "state"),
    ],
)
async def test_a_bad_field_is_named(jobs, request_, field):
    with pytest.raises(InvalidArgumentError, match=f"^{field}: "):
        await JobService(jobs, {}).ListJobs(request_)


async def test_watching_ends_with_the_job(jobs):
    job_id = await submit(jobs)
    seen = []

    async def work():
        job = await claim(jobs)
        jobs.note_progress(job_id, job.token, 5, "half", total=10)
        await jobs.complete("slot", [JobResult(job_id, job.token, "{}")])

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            async for reply in JobService(jobs, {}).WatchJob(pb.WatchJobRequest(job_id=job_id)):
                if not seen:
                    nursery.start_soon(work)
                seen.append(reply.job.state)

    assert (seen[0], seen[-1]) == (pb.JOB_STATE_QUEUED, pb.JOB_STATE_SUCCEEDED)


async def test_attempts_are_sent_when_they_change_and_with_the_end(jobs):
    job_id = await submit(jobs)
    await jobs.fail("slot", JobFailure(job_id, (await claim(jobs)).token, "odd", "no", stack="s"))
    seen = []

    async def work():
        job = await claim(jobs)
        for counter in range(1, 4):
            jobs.note_progress(job_id, job.token, counter)
            await eventually(lambda wanted=counter: seen[-1].job.progress == wanted)
        await jobs.fail("slot", JobFailure(job_id, job.token, "odd", "no", stack="s"))
        await eventually(lambda: len(seen[-1].job.attempts) == 2)
        await jobs.cancel(job_id)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            async for reply in JobService(jobs, {}).WatchJob(pb.WatchJobRequest(job_id=job_id)):
                if not seen:
                    nursery.start_soon(work)
                seen.append(reply)

    assert [len(one.job.attempts) for one in seen if not one.attempts_unchanged] == [1, 2, 2]
    unchanged = [one for one in seen if one.attempts_unchanged]
    assert len(unchanged) >= 3
    assert not any(one.job.attempts or one.job.attempts_left_out for one in unchanged)
    assert (seen[0].attempts_unchanged, seen[-1].attempts_unchanged) == (False, False)


async def test_a_cancelled_job_is_run_again_when_retried(jobs):
    job_id = await submit(jobs)
    service = JobService(jobs, {})

    cancelled = (await service.CancelJob(pb.CancelJobRequest(job_id=job_id))).job
    retried = (await service.RetryJob(pb.RetryJobRequest(job_id=job_id))).job

    assert cancelled.state == pb.JOB_STATE_CANCELLED
    assert (retried.state, retried.run) == (pb.JOB_STATE_QUEUED, 2)
    with pytest.raises(FailedPreconditionError, match="has not ended"):
        await service.RetryJob(pb.RetryJobRequest(job_id=job_id))


async def test_a_job_that_is_not_there_is_not_found(jobs):
    service = JobService(jobs, {})
    for call, request in (
        (service.GetJob, pb.GetJobRequest(job_id=NO_JOB)),
        (service.CancelJob, pb.CancelJobRequest(job_id=NO_JOB)),
        (service.RetryJob, pb.RetryJobRequest(job_id=NO_JOB)),
    ):
        with pytest.raises(NotFoundError):
            await call(request)
    with pytest.raises(NotFoundError):
        async for _ in service.WatchJob(pb.WatchJobRequest(job_id=NO_JOB)):
            pass


async def test_the_queue_is_counted_by_pool(jobs):
    await submit(jobs, pool="heavy")
    await submit(jobs, pool="heavy", delay_s=60)

    async def is_counted():
        queue = await JobService(jobs, {}).GetQueue(pb.GetQueueRequest())
        return ("heavy", 1, 1) in [(pool.pool, pool.ready, pool.delayed) for pool in queue.pools]

    # Redis is told after the submission returns.
    await eventually(is_counted, within_s=5)


async def test_attempts_with_long_stacks_fit_into_a_message_the_latest_of_them(jobs):
    job_id = await submit(jobs, max_attempts=1_000)
    for number in range(70):
        job = await claim(jobs)
        stack = f"first {number}\n{'frame é ' * 100_000}\nlast {number}"
        message = "x" * 1_000_000
        failure = JobFailure(job_id, job.token, "e", message, stack=stack, retry_after_s=0.0)
        await jobs.fail("slot", failure)

    told = (await JobService(jobs, {}).GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert told.ByteSize() < 3 * 1024 * 1024
    shown = [attempt.attempt for attempt in told.attempts]
    assert len(shown) > 20
    assert shown == list(range(70 - len(shown) + 1, 71))
    assert told.attempts_left_out == 70 - len(shown)
    assert told.attempts[-1].stack.startswith("first 69\n")
    assert told.attempts[-1].stack.endswith("last 69")
    assert "left out" in told.attempts[-1].stack
    assert len(told.attempts[-1].detail) < 5_000


async def test_only_the_latest_of_very_many_attempts_are_shown(jobs):
    job_id = await submit(jobs, max_attempts=1_000)
    for _ in range(210):
        job = await claim(jobs)
        await jobs.fail("slot", JobFailure(job_id, job.token, "e", "", retry_after_s=0.0))

    told = (await JobService(jobs, {}).GetJob(pb.GetJobRequest(job_id=job_id))).job

    assert [attempt.attempt for attempt in told.attempts] == list(range(11, 211))
    assert told.attempts_left_out == 10
