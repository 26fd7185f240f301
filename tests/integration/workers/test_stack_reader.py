"""Stacks of a process that ends while they are asked for."""

import os
import signal
import subprocess
from contextlib import contextmanager

import trio
import trio.testing

from engine.workers.proctable import read_stat
from engine.workers.stacks import StackReader


@contextmanager
def stopped_process():
    """A process that writes nothing, stopped, with a reader of its stacks."""
    process = subprocess.Popen(["sleep", "60"])
    pidfd = os.pidfd_open(process.pid)
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        yield process, StackReader(process.pid, pidfd, reading)
    finally:
        process.kill()
        process.wait()
        for descriptor in (pidfd, reading, writing):
            os.close(descriptor)


async def test_who_waits_for_stacks_hears_at_once_that_the_process_is_gone():
    with stopped_process() as (process, reader), trio.fail_after(5):
        answers = []

        async def capture():
            answers.append(await reader.capture(60))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(capture)
            await trio.testing.wait_all_tasks_blocked()
            process.kill()
            process.wait()
            reader.close()
        assert answers == ["no stacks: the process has ended"]
        assert await reader.capture(60) == "no stacks: the process has ended"


async def test_a_capture_that_is_cancelled_when_the_process_is_gone_stays_cancelled():
    with stopped_process() as (process, reader), trio.fail_after(5):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reader.capture, 60)
                await trio.testing.wait_all_tasks_blocked()
                process.kill()
                process.wait()
                scope.cancel()
        assert scope.cancelled_caught
        assert read_stat(process.pid) is None
