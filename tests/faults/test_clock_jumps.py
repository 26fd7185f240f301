"""The machine's clock jumps by hours while the real program runs: only dates in records notice."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
import trio

from proto.trellis.v1 import jobs_pb2
from tests.faults.clock import HOUR_S, MachineClock, OwnClock, has_compiler
from tests.faults.registry import Target
from tests.faults.small_world import client_of, open_world
from tests.faults.steady_load import EngineClient, SteadyLoad

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no C compiler")

in_thread = trio.to_thread.run_sync

_READ_CLOCKS = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
"""


def test_only_the_date_moves_and_it_does_so_at_once(tmp_path: Path) -> None:
    clock = MachineClock(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _READ_CLOCKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clock.environment,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for offset_s in (0.0, 5 * HOUR_S, -5 * HOUR_S, 0.25):
            clock.set(offset_s)
            child.stdin.write("\n")
            child.stdin.flush()
            date_s, monotonic_s, boot_s = map(float, child.stdout.readline().split())
            assert date_s - time.time() == pytest.approx(offset_s, abs=0.2)
            assert monotonic_s - time.monotonic() == pytest.approx(0.0, abs=0.2)
            assert boot_s - time.clock_gettime(time.CLOCK_BOOTTIME) == pytest.approx(0.0, abs=0.2)
        child.stdin.close()


@asynccontextmanager
async def clock_world(folder: Path) -> AsyncIterator[tuple[Target, MachineClock, EngineClient]]:
    async with open_world(folder, [OwnClock()]) as target:
        with client_of(target) as client:
            yield target, target.facilities["own_clock"], client


async def test_jobs_workers_and_ids_take_no_notice_of_a_clock_that_jumps(tmp_path: Path) -> None:
    async with clock_world(tmp_path) as (target, clock, client):
        with SteadyLoad(client, tmp_path) as load:
            await in_thread(wait_worked, load, client)
            workers = target.processes().workers
            # A job that runs across all jumps, one that waits across them.
            long_payload = {"folder": str(tmp_path), "seconds": 6.0}
            long_job = await in_thread(lambda: client.submit(long_payload, key="long"))
            brief_payload = {"folder": str(tmp_path), "seconds": 0.0}
            asked_s = time.monotonic()
            delayed = await in_thread(
                lambda: client.submit(brief_payload, key="delayed", delay_s=4.0)
            )
            for offset_s in (6 * HOUR_S, -6 * HOUR_S, 30.0, -HOUR_S, 48 * HOUR_S, 0.0):
                clock.set(offset_s)
                # Longer than the pace of every loop that looks at a clock, lease included in sum.
                await trio.sleep(0.6)
            await in_thread(load.stop)
            await in_thread(load.wait_all_ended)
            job = await in_thread(client.wait_ended, delayed)
            assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
            job = await in_thread(client.wait_ended, long_job)
            assert (job.state, job.attempt) == (jobs_pb2.JOB_STATE_SUCCEEDED, 1)
            # The same processes: nobody was given up for the time it seemed to take.
            assert target.processes().workers == workers
        assert await in_thread(target.engine.stop) == 0, target.engine.log_tail()
    assert not load.find_violations(target.data_dir / "trellis.duckdb")
    began_s = began_after(tmp_path, delayed) - asked_s
    assert 3.9 <= began_s < 8.0
    in_order = list(load.jobs.values())
    assert all(earlier < later for earlier, later in pairwise(in_order))
    with duckdb.connect(str(target.data_dir / "trellis.duckdb"), read_only=True) as connection:
        ended = connection.execute(
            "SELECT job_id, cause, detail FROM job_log WHERE cause <> 'completed'"
        ).fetchall()
    assert not ended


@pytest.mark.parametrize("offset_s", [3 * HOUR_S, -3 * HOUR_S])
async def test_engine_restarted_under_another_date_goes_on_with_its_jobs(
    tmp_path: Path, offset_s: float
) -> None:
    async with clock_world(tmp_path) as (target, clock, client):
        payload = {"folder": str(tmp_path), "seconds": 0.0}
        first = await in_thread(lambda: client.submit(payload, key="first"))
        await in_thread(client.wait_ended, first)
        delayed = await in_thread(lambda: client.submit(payload, key="delayed", delay_s=3.0))
        target.engine.kill()
        clock.set(offset_s)
        await in_thread(target.engine.start)
        # What is due by date cannot know of the jump; but it is done, and what comes now at once.
        second = await in_thread(lambda: client.submit(payload, key="second"))
        assert second > delayed > first
        job = await in_thread(client.wait_ended, second)
        assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
        assert client.submit(payload, key="delayed") == delayed
        if offset_s > 0:
            job = await in_thread(client.wait_ended, delayed)
            assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
        assert await in_thread(target.engine.stop) == 0, target.engine.log_tail()


def wait_worked(load: SteadyLoad, client: EngineClient) -> None:
    """Wait until both workers have done something."""
    give_up_at_s = time.monotonic() + 30.0
    while len(load.jobs) < 3:
        assert time.monotonic() < give_up_at_s, load.refusals
        time.sleep(0.02)
    for job_id in [*load.jobs.values()]:
        client.wait_ended(job_id)


def began_after(folder: Path, job_id: str) -> float:
    """Return when a job first began, by the monotonic clock."""
    for line in (folder / "runs").read_text().splitlines():
        who, what, _, _, monotonic_ns = line.split()
        if who == job_id and what == "begins":
            return int(monotonic_ns) / 1e9
    raise AssertionError(f"{job_id} never began")
