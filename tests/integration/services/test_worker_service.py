"""WorkerService on the wire: what a worker may do, and all it may not."""

import contextlib
import functools
import gc
import random
from contextlib import aclosing

import pyarrow as pa
import pytest
import trio
import trio.testing
from purerpc import RpcFailedError, StatusCode

from engine.config import UploadSpec
from engine.jobs import Cause, JobState
from engine.store import StoreSettings, open_store
from engine.uploads import make_upload_rules, open_uploads
from proto.trellis.v1 import workers_pb2 as pb
from tests.integration.jobs.world import World, eventually
from tests.integration.services.played_workers import Worker, open_control_port, upload_of
from tests.integration.uploads.desk import MAX_BYTES, UploadDesk, ipc
from tests.support.control_server import TOKEN
from tests.support.redis_servers import running_server

DATASETS = {
    "profiles": UploadSpec(
        entity="user", entity_key="user_id", time_column="at", columns={"plan": "string"}
    )
}
ROWS = ipc([(1, '{"plan":"pro"}', 1_000), (2, '{"plan":"free"}', 2_000)])
TWO_ACCEPTED = b'{"rows_accepted": 2, "rows_rejected": 0}'


@pytest.fixture(scope="module")
def server():
    with running_server("redis6") as server:
        yield server


@pytest.fixture
async def control(tmp_path, server):
    with contextlib.closing(server.client()) as client:
        client.flushall()
        async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
            rules = make_upload_rules(store.reader, tmp_path)
            world = World(store, server, client, hooks=rules.hooks)
            async with (
                world.open() as jobs,
                open_uploads(
                    jobs, rules, store.writer, store.reader, DATASETS, max_bytes=MAX_BYTES
                ) as uploads,
                open_control_port(UploadDesk(store, jobs, uploads, DATASETS)) as control,
            ):
                await jobs.wait_queue_open()
                yield control


def failing(code, match=None):
    return pytest.raises(RpcFailedError, match=match, check=lambda e: e.status.status_code is code)


NOT_FOUND = functools.partial(failing, StatusCode.NOT_FOUND)
REFUSED = functools.partial(failing, StatusCode.FAILED_PRECONDITION)
INVALID = functools.partial(failing, StatusCode.INVALID_ARGUMENT)

SOME_JOB = pb.WorkerJob(job_id="0" * 26, token="no token", payload_json=b'{"upload_id": "u"}')
CALLS = {
    "Check": Worker.check,
    "TakeJobs": Worker.take,
    "CompleteJobs": lambda worker: worker.complete(SOME_JOB),
    "FailJob": lambda worker: worker.fail(SOME_JOB),
    "GiveBackJobs": lambda worker: worker.give_back(SOME_JOB),
    "ReadUpload": lambda worker: worker.read(SOME_JOB),
    "StageRows": lambda worker: worker.stage(SOME_JOB),
}


async def converse(worker):
    async with worker.service.HostWorkers(nobody(), timeout_s=5) as commands:
        return [command async for command in commands]


async def nobody():
    yield pb.HostEvent(join=pb.HostJoin(host="far", slots=1, session="s"))


LOOKS = {
    "ListWorkers": lambda worker: worker.service.ListWorkers(pb.ListWorkersRequest()),
    "RestartWorkers": lambda worker: worker.service.RestartWorkers(pb.RestartWorkersRequest()),
    "DrainWorkers": lambda worker: worker.service.DrainWorkers(pb.DrainWorkersRequest()),
    "ResumeWorkers": lambda worker: worker.service.ResumeWorkers(pb.ResumeWorkersRequest()),
}


# Who may call.


@pytest.mark.parametrize("call", CALLS)
async def test_a_worker_that_is_not_known_is_told_so(control, call):
    with NOT_FOUND("worker"):
        await CALLS[call](Worker("nobody-0-00000000", control.service))


@pytest.mark.parametrize("token", [None, "another"])
async def test_without_the_token_nothing_is_answered(control, token):
    async with control.client(token) as service:
        worker = Worker("any-0-00000000", service)
        for call in [*CALLS.values(), *LOOKS.values(), converse]:
            with failing(StatusCode.UNAUTHENTICATED):
                await call(worker)


async def test_where_clients_call_workers_are_shown_and_nothing_else_is_done(control):
    await control.join()
    async with control.client(None, control.view_port) as service:
        worker = Worker("any-0-00000000", service)
        [shown] = (await LOOKS["ListWorkers"](worker)).workers
        assert (shown.slot, shown.host, shown.state) == ("played-0", "played", "idle")
        for call in [*CALLS.values(), converse]:
            with REFUSED("control port"):
                await call(worker)


# Jobs.


async def test_a_job_is_handed_out_done_and_told_once(control):
    [worker] = (await control.join()).workers
    assert await worker.take(wait_ms=1) == []
    job_id = await control.submit()
    [job] = await worker.take()
    assert (job.job_id, job.job_type, job.attempt) == (job_id, "work", 1)
    # The answer may have been lost: asked again, it is the same job under the same token.
    assert await worker.take() == [job]
    assert (await worker.check(job.token)).verdict == pb.VERDICT_CONTINUE
    assert (await worker.complete(job, b'{"n": 1}')).accepted
    assert (await worker.complete(job, b'{"n": 2}')).accepted
    view = await control.desk.jobs.get(job_id)
    assert (view.state, view.result_json) == (JobState.SUCCEEDED, '{"n": 1}')


@pytest.mark.parametrize(
    ("told", "again_ms"),
    [
        ({}, (900, 901)),
        ({"still_ms": -1}, (900, 901)),
        ({"still_ms": 100}, (800, 801)),
        # Before it was handed out it cannot have begun.
        ({"still_ms": 1 << 40}, (1, 700)),
    ],
)
async def test_a_job_has_its_time_from_when_its_worker_says_it_moved(control, told, again_ms):
    await control.submit("impatient")
    [worker] = (await control.join()).workers
    [job] = await worker.take()
    await trio.sleep_until(trio.current_time() + 0.2)
    least, most = again_ms
    assert least <= (await worker.check(job.token, **told)).again_ms <= most


async def test_what_is_out_of_range_is_refused_by_name(control):
    [worker] = (await control.join()).workers
    for most in (0, -1, 1_001):
        with INVALID("most"):
            await worker.take(most)
    await control.submit()
    [job] = await worker.take()
    with INVALID("result_json"):
        await worker.complete(job, b"\xff")
    with failing(StatusCode.RESOURCE_EXHAUSTED):
        await worker.complete(job, b'"' + b"x" * (5 << 20) + b'"')
    assert (await worker.complete(job)).accepted


async def test_only_the_worker_that_holds_a_job_may_end_it(control):
    holder, other = (await control.join(2)).workers
    job_id = await control.submit()
    [job] = await holder.take()

    assert not (await other.complete(job)).accepted
    assert not (await other.fail(job, permanent=True)).accepted
    assert not (await holder.complete(job, token="guessed")).accepted
    assert not (await holder.fail(job, token="guessed")).accepted
    await other.give_back(job)
    assert await other.take(wait_ms=1) == []
    assert (await control.desk.jobs.get(job_id)).state is JobState.RUNNING
    assert (await holder.complete(job)).accepted


async def test_a_failure_counts_once_and_the_job_is_tried_again_unless_it_is_permanent(control):
    [worker] = (await control.join()).workers
    job_id = await control.submit()
    [first] = await worker.take()
    assert (await worker.fail(first, stack="here")).accepted
    assert (await worker.fail(first)).accepted
    [second] = await worker.take()
    assert (second.job_id, second.attempt) == (job_id, 2)
    assert second.token != first.token
    assert (await worker.fail(second, permanent=True)).accepted
    view = await control.desk.jobs.get(job_id)
    assert view.state is JobState.FAILED
    assert [one.cause for one in view.attempts] == [Cause.ERROR, Cause.ERROR]


async def test_a_job_given_back_is_another_workers_as_if_it_had_not_been_handed_out(control):
    first, second = (await control.join(2)).workers
    await control.submit()
    await control.submit()
    [job, spare] = await first.take(2)
    await first.give_back(spare)
    [taken] = await second.take()
    assert (taken.job_id, taken.attempt) == (spare.job_id, 1)
    assert not (await first.complete(spare)).accepted
    assert (await first.complete(job)).accepted
    assert (await second.complete(taken)).accepted


async def test_a_worker_that_was_replaced_can_do_nothing_more(control):
    host = await control.join()
    [old] = host.workers
    job_id = await control.submit()
    [job] = await old.take()
    host.end(old.worker_id, code=3)
    await eventually(lambda: len(host.workers) == 2)
    new = host.workers[1]

    for call in (old.check, old.take, functools.partial(old.complete, job)):
        with NOT_FOUND("worker"):
            await call()
    [again] = await new.take()
    assert again.job_id == job_id
    # Not even its successor, which fills the same slot, may end the lost attempt.
    assert not (await new.complete(job)).accepted
    assert (await new.complete(again)).accepted


async def test_the_workers_of_a_host_that_leaves_can_do_nothing_more(control):
    host = await control.join()
    [worker] = host.workers
    job_id = await control.submit()
    [job] = await worker.take()
    host.leave()

    async def is_back():
        return (await control.desk.jobs.get(job_id)).state is JobState.QUEUED

    await eventually(is_back)
    with NOT_FOUND("worker"):
        await worker.complete(job)
    [attempt] = (await control.desk.jobs.get(job_id)).attempts
    assert (attempt.cause, attempt.charged) == (Cause.HOST_LOST, False)


# Uploads.


async def take_upload(control, worker, content=b"some file"):
    await control.desk.send(content)
    [job] = await worker.take()
    return job


async def test_a_file_is_read_by_the_worker_that_holds_its_job_and_no_other(control):
    holder, other = (await control.join(2)).workers
    content = bytes(range(256)) * 12_000
    job = await take_upload(control, holder, content)
    assert await holder.read(job) == content

    others = await take_upload(control, other, b"another file")
    for what in (
        {},
        {"token": ""},
        {"token": others.token},
        {"job_id": others.job_id, "token": others.token},
    ):
        with REFUSED():
            await other.read(job, **what)
    with NOT_FOUND("upload"):
        await holder.read(job, upload_id="nothing")
    assert await holder.stage(job, ROWS) == 2
    assert (await holder.complete(job, TWO_ACCEPTED)).accepted
    with REFUSED():
        await holder.read(job)


async def test_a_worker_that_stops_reading_a_file_leaves_nothing_open(control):
    [worker] = (await control.join()).workers
    job = await take_upload(control, worker, random.Random(1).randbytes(12 << 20))
    request = pb.ReadUploadRequest(
        worker_id=worker.worker_id, job_id=job.job_id, token=job.token, upload_id=upload_of(job)
    )
    async with aclosing(worker.service.ReadUpload(request)) as replies:
        await anext(replies)
    # Whatever is left of the reading is a warning when it is collected, and so a failure here.
    assert await worker.stage(job, ROWS) == 2
    gc.collect()
    await trio.testing.wait_all_tasks_blocked()


async def test_staged_rows_count_with_the_completion_of_their_job(control):
    [worker] = (await control.join()).workers
    job = await take_upload(control, worker)
    assert await worker.stage(job, ROWS) == 2
    assert await control.desk.count("feature_history") == 0
    assert (await worker.complete(job, TWO_ACCEPTED)).accepted
    assert await control.desk.count("feature_history") == 2
    assert control.desk.staged_rows() == 0


def stream_of(batch):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (b"no arrow", StatusCode.INVALID_ARGUMENT),
        (ROWS[:-40], StatusCode.INVALID_ARGUMENT),
        (ROWS[:100] + b"\xff" * 60 + ROWS[160:], StatusCode.INVALID_ARGUMENT),
        (stream_of(pa.record_batch({"x": [1]})), StatusCode.INVALID_ARGUMENT),
        (ipc([(None, "{}", 1)]), StatusCode.INVALID_ARGUMENT),
        (b"x" * (5 << 20), StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["malformed", "cut", "broken", "columns", "no key", "too large"],
)
async def test_rows_that_are_none_are_refused_and_nothing_of_them_is_kept(control, part, code):
    [worker] = (await control.join()).workers
    job = await take_upload(control, worker)
    with failing(code):
        await worker.stage(job, part)
    assert control.desk.staged_rows() == 0
    assert await worker.stage(job, ROWS) == 2
    assert (await worker.complete(job, TWO_ACCEPTED)).accepted


async def test_rows_are_taken_of_the_worker_that_holds_the_uploads_job_alone(control):
    holder, other = (await control.join(2)).workers
    job = await take_upload(control, holder)
    others = await take_upload(control, other, b"another file")
    for worker, what in (
        (other, {}),
        (other, {"token": others.token}),
        (other, {"job_id": others.job_id, "token": others.token}),
        (holder, {"token": "guessed"}),
        (holder, {"job_id": others.job_id}),
        (holder, {"upload_id": upload_of(others)}),
    ):
        with REFUSED():
            await worker.stage(job, ROWS, **what)
    with NOT_FOUND("upload"):
        await holder.stage(job, ROWS, upload_id="nothing")
    assert control.desk.staged_rows() == 0


async def test_a_call_without_a_message_is_refused(control):
    async def nothing():
        return
        yield

    with INVALID("worker_id"):
        await control.service.StageRows(nothing())
    with INVALID("join"):
        async with control.service.HostWorkers(nothing(), timeout_s=5) as commands:
            await anext(commands, None)


async def test_rows_on_their_way_are_refused_once_the_job_is_lost(control):
    host = await control.join()
    [worker] = host.workers
    job = await take_upload(control, worker)

    async def parts():
        yield ROWS
        await eventually(control.desk.staged_rows)
        host.end(worker.worker_id, signal=9)
        await eventually(lambda: len(host.workers) == 2)
        yield ROWS

    with NOT_FOUND("worker"):
        await worker.stage_from(job, parts())
    assert control.desk.staged_rows() == 2


async def test_rows_of_a_worker_that_vanished_in_midstream_never_count(control):
    host = await control.join()
    [worker] = host.workers
    job = await take_upload(control, worker)
    async with control.client(TOKEN) as service:
        doomed = Worker(worker.worker_id, service)

        async def parts():
            yield ROWS
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(doomed.stage_from, job, parts())
            await eventually(control.desk.staged_rows)
            nursery.cancel_scope.cancel()
    host.end(worker.worker_id, signal=9)
    await eventually(lambda: len(host.workers) == 2)
    [again] = await host.workers[1].take()
    assert again.job_id == job.job_id
    assert await host.workers[1].stage(again, ROWS) == 2
    assert (await host.workers[1].complete(again, TWO_ACCEPTED)).accepted
    assert await control.desk.count("feature_history") == 2
    assert control.desk.staged_rows() == 0


# Hosts, and who looks at them.


@pytest.mark.parametrize(
    ("join", "code"),
    [
        ({"host": ""}, StatusCode.INVALID_ARGUMENT),
        ({"host": "local"}, StatusCode.INVALID_ARGUMENT),
        ({"host": "a\x1b[2Jb"}, StatusCode.INVALID_ARGUMENT),
        ({"host": "h" * 65}, StatusCode.INVALID_ARGUMENT),
        ({"pool": "No Pool"}, StatusCode.INVALID_ARGUMENT),
        ({"slots": 0}, StatusCode.INVALID_ARGUMENT),
        ({"slots": 1_001}, StatusCode.INVALID_ARGUMENT),
        ({"resumed": True}, StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_a_host_that_cannot_be_is_turned_away(control, join, code):
    async def events():
        fields = {"host": "far", "pool": "train", "slots": 1, "session": "s", **join}
        yield pb.HostEvent(join=pb.HostJoin(**fields))
        await trio.sleep_forever()

    with failing(code):
        async with control.service.HostWorkers(events(), timeout_s=5) as commands:
            await anext(commands)
    assert not (await LOOKS["ListWorkers"](Worker("", control.service))).workers


@pytest.mark.parametrize(
    "event",
    [
        {"usage": {"page": b"short"}},
        {"exited": {"page": b"", "signal": 1_000, "last_output": ["\x1b[2J"]}},
        {"stacks": {"request": 1 << 40, "text": "unasked"}},
    ],
    ids=lambda event: next(iter(event)),
)
async def test_nonsense_of_one_host_is_no_concern_of_others(control, event):
    [worker] = (await control.join()).workers
    odd = await control.join(session="odd")
    [(kind, fields)] = event.items()
    odd.tell(**{kind: {"worker_id": odd.workers[0].worker_id, **fields}})
    odd.tell()
    await control.submit()
    [job] = await worker.take()
    assert (await worker.complete(job)).accepted


async def test_workers_are_shown_with_their_jobs_and_ends(control):
    host = await control.join(2)
    job_id = await control.submit()
    worker = host.workers[0]
    [job] = await worker.take()
    await worker.check(job.token)
    shown = {one.worker_id: one for one in await shown_by(control)}
    assert [one.job_id for one in shown.values()].count(job_id) == 1
    assert shown[worker.worker_id].job_id == job_id
    assert shown[worker.worker_id].lease_remaining_s > 0
    host.end(worker.worker_id, signal=11)
    await eventually(lambda: len(host.workers) == 3)
    [slot] = [one for one in await shown_by(control) if one.restarts]
    assert (slot.last_cause, slot.last_detail) == ("died", "killed by SIGSEGV")
    assert slot.last_ended_at.ToMicroseconds() > 0


async def shown_by(control):
    return (await control.service.ListWorkers(pb.ListWorkersRequest())).workers


async def test_a_restart_reaches_all_workers_one_after_the_other(control):
    host = await control.join(2)
    with NOT_FOUND("pool"):
        await control.service.RestartWorkers(pb.RestartWorkersRequest(pool="nothing"))
    reply = await control.service.RestartWorkers(pb.RestartWorkersRequest())
    assert reply.workers == 2
    in_turn = sorted(host.workers, key=lambda worker: worker.worker_id)
    for number, worker in enumerate(in_turn):
        with trio.fail_after(10):
            while (await worker.check()).verdict != pb.VERDICT_RESTART:  # noqa: ASYNC110
                await trio.sleep(0.01)
        host.end(worker.worker_id, code=0)
        await eventually(lambda wanted=number + 3: len(host.workers) == wanted)
    assert {one.last_cause for one in await shown_by(control)} == {"recycled"}


async def test_the_slots_of_another_host_are_drained_and_resumed_by_call(control):
    host = await control.join(2)
    name = (await shown_by(control))[0].host
    async with control.client(None, control.view_port) as service:
        with NOT_FOUND("slot"):
            await service.DrainWorkers(pb.DrainWorkersRequest(slot="nothing-0"))
        with INVALID("slot"):
            await service.ResumeWorkers(pb.ResumeWorkersRequest())
        reply = await service.DrainWorkers(pb.DrainWorkersRequest(host=name))
    assert {one.state for one in reply.workers} == {"draining"}
    for worker in [*host.workers]:
        assert (await worker.check()).verdict == pb.VERDICT_DRAIN
        host.end(worker.worker_id, code=0)
    await eventually_shown(control, "drained")
    assert len(host.workers) == 2
    async with control.client(None, control.view_port) as service:
        await service.ResumeWorkers(pb.ResumeWorkersRequest(host=name))
    await eventually(lambda: len(host.workers) == 4)


async def eventually_shown(control, state):
    with trio.fail_after(10):
        while {one.state for one in await shown_by(control)} != {state}:  # noqa: ASYNC110
            await trio.sleep(0.01)
