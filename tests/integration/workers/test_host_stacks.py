"""What a worker is stuck on can be seen before it is killed."""

import os
import signal

import pytest
import trio

from engine.workers.proctable import read_stat, threads_of
from tests.support.worker_host import open_test_host, spawn, until


@pytest.mark.parametrize(
    ("body", "frame"),
    [
        ("sleep", "in _sleep"),
        ("loop_forever", "in _loop_forever"),
        ("deadlock", "in _deadlock"),
        ("sleep_in_c", "in _sleep_in_c"),
        ("hold_lock_in_c", "in _hold_lock_in_c"),
        ("backtrack", "in _backtrack"),
        ("ignore_signals", "in _ignore_signals"),
        ("close_descriptors", "in _close_descriptors"),
        ("flood", "in _flood"),
    ],
)
async def test_stacks_show_what_hangs(tmp_path, body, frame):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, body)
        await until(lambda: read_stat(worker.pid).state in "SR")
        stacks = ""
        with trio.move_on_after(20):  # right after its first sign of life it may not be there yet
            while frame not in stacks:
                stacks = await worker.capture_stacks(1.0)
        assert frame in stacks
        assert stacks.rstrip().endswith("in <module>")


async def test_stacks_of_all_threads_are_shown(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "deadlock")
        await until(lambda: len(threads_of(worker.pid)) == 2)
        stacks = await worker.capture_stacks(1.0)
        assert stacks.count("most recent call first") == 2


async def test_stopped_worker_shows_its_stack_and_stays_stopped(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "loop_forever")
        os.kill(worker.pid, signal.SIGSTOP)
        await until(lambda: read_stat(worker.pid).stopped)
        assert "in _loop_forever" in await worker.capture_stacks(1.0)
        await until(lambda: read_stat(worker.pid).stopped)


async def test_missing_stacks_are_explained(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "block_stacks_signal")
        await until(lambda: read_stat(worker.pid).state == "S")
        reason = await worker.capture_stacks(0.1)
        assert reason.startswith("no stacks: the process wrote none within 0.1 s")
        assert "is sleeping now" in reason
        await worker.kill()
        assert await worker.capture_stacks() == "no stacks: the process has ended"
