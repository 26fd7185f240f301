"""Real worker processes against a control port: the inside of a worker from the outside."""

from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from engine.tasks import errors
from engine.workers.exits import WorkerExit
from engine.workers.host import SpawnSpec
from engine.workers.local_host import LocalHostSettings, open_local_host
from engine.workers.page import Phase, token_mark
from proto.trellis.v1 import workers_pb2 as pb
from tests.faults.proxy import open_proxy
from tests.support import job_bodies
from tests.support.control_server import open_control
from tests.support.worker_host import is_alive, until

HANDLERS = {
    name: f"tests.support.job_bodies:{name}"
    for name, found in vars(job_bodies).items()
    if callable(found) and getattr(found, "__module__", "") == job_bodies.__name__
} | {"nowhere": "no_such_module:run"}


@asynccontextmanager
async def open_world(tmp_path, **settings):
    """A control port, and a function that spawns a worker."""
    async with (
        open_control() as (service, address),
        open_host(tmp_path, address, **settings) as spawn,
    ):
        yield service, spawn


@asynccontextmanager
async def open_host(tmp_path, address, **settings):
    """A host, as the function that spawns a worker."""
    wanted = {
        "check_interval_s": 0.1,
        "check_deadline_s": 2.0,
        "preload": ("pyarrow", "engine.tasks.rpc_link"),
        **settings,
    }
    local = LocalHostSettings(data_dir=tmp_path, handlers=HANDLERS, **wanted)
    async with open_local_host(local, address) as host:
        await host.zygote_ready.wait()

        async def spawn(worker_id="worker-1"):
            spec = SpawnSpec(worker_id, "slot-1", "default", "trellis worker 1")
            return await host.spawn(spec)

        yield spawn


async def test_jobs_are_done_and_their_results_handed_in(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        ids = [service.add("echo", n=n) for n in range(50)]
        worker = await spawn()
        await service.until(lambda: len(service.completed) == 50)
        assert [service.completed[job_id]["payload"]["n"] for job_id in ids] == [*range(50)]
        assert service.checks[0].worker_id == "worker-1"
        await until(lambda: worker.page().phase is Phase.IDLE)
        assert worker.page().begun == 50


async def test_failures_are_told_and_the_worker_goes_on(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        wanted = {
            service.add("fail", text="odd"): ("ValueError", "odd", False),
            service.add("refuse"): ("bad_input", "never", True),
            service.add("leave"): ("SystemExit", "the job left by sys.exit(3)", False),
            service.add("unheard_of"): ("unknown_job_type", None, True),
            service.add("nowhere"): ("ModuleNotFoundError", None, False),
            service.add("hog"): ("memory", None, False),
        }
        last = service.add("echo")
        await spawn()
        await service.until(lambda: last in service.completed and len(service.failed) == 6)
        for job_id, (code, message, permanent) in wanted.items():
            failure = service.failed[job_id]
            assert (failure.code, failure.permanent) == (code, permanent)
            assert message is None or failure.message == message
        assert "job_bodies.py" in service.failed[next(iter(wanted))].stack
        assert "runtime.py" not in service.failed[next(iter(wanted))].stack


async def test_progress_and_counters_travel_with_checks(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add("progress")
        worker = await spawn()
        await service.until(lambda: len([c for c in service.checks if c.progress > 0]) > 2)
        last = service.checks[-1]
        assert last.token == f"token of {job_id}"
        assert last.progress_total == 1_000_000
        assert last.progress_note.startswith("step ")
        assert last.counters["progress/steps"] > 0
        assert last.memory_bytes > 1 << 20
        assert worker.page().running == token_mark(last.token)
        assert worker.page().progress >= last.progress


async def test_checks_tell_how_long_a_job_stands_still_and_come_sooner_on_demand(tmp_path):
    patience = {"check_interval_s": 60.0, "check_deadline_s": 120.0}
    async with open_world(tmp_path, **patience) as (service, spawn):
        job_id = service.add("sleep")
        again = pb.CheckResponse(verdict=pb.VERDICT_CONTINUE, again_ms=20)
        service.verdicts.extend([again] * 1_000)
        await spawn()
        await service.until(lambda: service.checks and service.checks[-1].still_ms > 200)
        [first, *_, last] = [c for c in service.checks if c.token == f"token of {job_id}"]
        assert 0 <= first.still_ms < last.still_ms


async def test_sleeping_job_is_cancelled_and_the_worker_asks_to_be_replaced(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add("sleep")
        worker = await spawn()
        await until(lambda: worker.page().phase is Phase.RUNNING)
        verdict = pb.VERDICT_CANCEL_JOB
        service.verdicts.append(
            pb.CheckResponse(verdict=verdict, cancel_token=f"token of {job_id}")
        )
        await service.until(lambda: job_id in service.failed)
        assert service.failed[job_id].code == errors.CODE_CANCELLED
        assert (await worker.wait()).exit is WorkerExit.RECYCLED
        assert worker.page().running is None


async def test_worker_leaves_after_the_job_in_hand_when_told(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add("sleep", seconds=0.5)
        worker = await spawn()
        await until(lambda: worker.page().phase is Phase.RUNNING)
        service.verdicts.append(pb.CheckResponse(verdict=pb.VERDICT_DRAIN))
        assert (await worker.wait()).exit is WorkerExit.LEFT
        assert job_id in service.completed


async def test_idle_worker_leaves_when_told_without_waiting_for_a_job(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        worker = await spawn()
        await until(lambda: worker.page().phase is Phase.IDLE)
        service.verdicts.append(pb.CheckResponse(verdict=pb.VERDICT_RESTART))
        with trio.fail_after(3):
            assert (await worker.wait()).exit is WorkerExit.LEFT


async def test_worker_that_was_given_up_dies_in_the_midst_of_its_job(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        service.add("loop")
        worker = await spawn()
        await until(lambda: worker.page().phase is Phase.RUNNING)
        service.unknown_workers.add("worker-1")
        with trio.fail_after(3):
            assert (await worker.wait()).exit is WorkerExit.LEASE_LOST
        assert worker.page().running is not None
        assert "has given this worker up" in worker.last_output()[-1]


async def test_worker_whose_lock_is_held_falls_silent(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        for body in ("hold_lock", "backtrack"):
            service.add(body)
            worker = await spawn(body)
            await until(lambda worker=worker: worker.page().phase is Phase.RUNNING)
            before = len(service.checks)
            with trio.move_on_after(0.5):
                await service.until(lambda before=before: len(service.checks) > before + 1)
            assert len(service.checks) <= before + 1
            stacks = await worker.capture_stacks(1.0)
            assert f"in {body}" in stacks
            await worker.kill()


async def test_worker_asleep_in_c_still_checks(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        service.add("sleep_in_c")
        worker = await spawn()
        await until(lambda: worker.page().phase is Phase.RUNNING)
        before = len(service.checks)
        await service.until(lambda: len(service.checks) > before + 3)
        assert "Thread 0x" in await worker.capture_stacks(1.0)


async def test_worker_without_an_engine_leaves(tmp_path):
    async with open_world(tmp_path, engine_gone_after_s=0.5) as (service, spawn):
        worker = await spawn()
        await service.until(lambda: len(service.checks) > 2)
        service.silent = True
        silent_from = trio.current_time()
        assert (await worker.wait()).exit is WorkerExit.ENGINE_GONE
        assert 0.3 < trio.current_time() - silent_from < 1.5


@pytest.mark.parametrize("body", ["hold_lock", "fill_standard_error"])
async def test_worker_without_an_engine_is_gone_whatever_its_job_does(tmp_path, body):
    """Even if its checking thread cannot run, or cannot write why it leaves."""
    async with open_world(tmp_path, engine_gone_after_s=0.5) as (service, spawn):
        service.add(body)
        worker = await spawn()
        await until(lambda: worker.page().phase is Phase.RUNNING)
        service.silent = True
        with trio.fail_after(3):
            await worker.wait()


async def test_job_that_closes_descriptors_costs_a_worker_but_no_result(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add("close_descriptors")
        worker = await spawn()
        await service.until(lambda: job_id in service.completed)
        assert (await worker.wait()).exit is WorkerExit.RECYCLED


@pytest.mark.parametrize("job_type", ["leave_child", "leave_grandchild"])
async def test_job_that_leaves_a_process_behind_costs_a_worker_and_the_process(tmp_path, job_type):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add(job_type)
        worker = await spawn()
        await service.until(lambda: job_id in service.completed)
        left = service.completed[job_id]["pid"]
        await until(lambda: worker.ended and not is_alive(left))
        assert (await worker.wait()).exit is WorkerExit.RECYCLED


async def test_hard_exit_in_a_job_is_seen_on_the_page(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add("exit_hard")
        worker = await spawn()
        assert (await worker.wait()).code == 0
        assert worker.page().running == token_mark(f"token of {job_id}")


async def test_worker_is_recycled_after_so_many_jobs(tmp_path):
    async with open_world(tmp_path, recycle_after_jobs=1) as (service, spawn):
        first = service.add("echo")
        worker = await spawn()
        assert (await worker.wait()).exit is WorkerExit.RECYCLED
        assert first in service.completed


async def test_others_in_hand_do_not_wait_for_a_long_job(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        for _ in range(3):
            service.add("echo")
        long_one = service.add("sleep")
        behind = [service.add("echo") for _ in range(3)]
        await spawn()
        await service.until(lambda: set(behind) <= {*service.given_back, *service.completed})
        await service.until(lambda: len(service.completed) >= 3)
        assert long_one not in service.completed


async def test_rows_are_staged_while_the_upload_is_read(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        service.uploads["u"] = b"x" * 300_000
        job_id = service.add("upload", upload_id="u", rows_a_chunk=3)
        await spawn()
        await service.until(lambda: job_id in service.completed or job_id in service.failed)
        assert job_id in service.completed
        sizes = [row["x"] for batch in service.staged for row in batch.to_pylist()]
        assert sizes == ["65536"] * 12 + [str(300_000 - 4 * 65_536)] * 3
        assert service.stagings == 1  # nobody waits for an answer between two parts


async def test_large_batches_are_sent_in_parts(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        service.uploads["u"] = b"x"
        job_id = service.add("upload", upload_id="u", rows_a_chunk=1_000_000)
        await spawn()
        await service.until(lambda: job_id in service.completed or job_id in service.failed)
        assert job_id in service.completed
        assert sum(batch.num_rows for batch in service.staged) == 1_000_000
        assert len(service.staged) > 4


async def test_rejects_travel_with_their_places(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        service.uploads["u"] = b""
        job_id = service.add("reject", upload_id="u")
        await spawn()
        await service.until(lambda: job_id in service.completed)
        [row] = service.rejects
        assert (row.row, row.column, row.reason, row.excerpt) == (3, "age", "type", "abc")


async def test_refused_rows_fail_the_job(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add("reject", upload_id="gone")
        await spawn()
        await service.until(lambda: job_id in service.failed)
        assert service.failed[job_id].code == "RefusedError"


async def test_a_connection_that_breaks_is_no_fault_of_the_job(tmp_path):
    async with (
        open_control() as (service, address),
        open_proxy(address.port, seed=1) as proxy,
        open_host(tmp_path, attrs.evolve(address, port=proxy.port)) as spawn,
    ):
        service.uploads["u"] = b"x" * 100_000
        service.endless_uploads.add("u")
        job_id = service.add("upload", upload_id="u")
        await spawn()
        await service.until(lambda: service.staged)
        proxy.cut()
        await service.until(lambda: job_id in service.failed)
        failure = service.failed[job_id]
        assert (failure.out_of_reach, failure.permanent) == (True, False)
        assert failure.code == "ConnectionLostError"


async def test_an_engine_that_fails_at_what_it_is_asked_is_not_out_of_reach(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        job_id = service.add("upload", upload_id="breaks the service")
        await spawn()
        await service.until(lambda: job_id in service.failed)
        assert not service.failed[job_id].out_of_reach
        assert "INTERNAL" in service.failed[job_id].message


async def test_uploaded_file_becomes_rows_and_rejects(tmp_path):
    async with open_world(tmp_path) as (service, spawn):
        service.uploads["u"] = b"id,at,age\n1,2024-01-01T00:00:00Z,33\n2,2024-01-01T00:00:00Z,old\n"
        job_id = service.add(
            "process_upload",
            upload_id="u",
            filename="people.csv",
            content_type="text/csv",
            size_bytes=len(service.uploads["u"]),
            received_at_us=1_750_000_000_000_000,
            dataset={
                "name": "people",
                "entity_key": "id",
                "time_column": "at",
                "columns": {"age": "int64"},
            },
        )
        await spawn()
        await service.until(lambda: job_id in service.completed or job_id in service.failed)
        assert service.completed[job_id]["rows_accepted"] == 1, service.failed
        assert [row["entity_key"] for batch in service.staged for row in batch.to_pylist()] == [1]
        assert [(row.row, row.column) for row in service.rejects] == [(3, "age")]
