"""Stacks of a process that ends while they are asked for."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import trio
import trio.testing

from engine.workers.proctable import read_stat
from engine.workers.stacks import StackReader
from engine.workers.zygote_wire import STACKS_SIGNAL

HESITANT = """
import os, signal, sys, time
def write(*_):
    os.write(int(sys.argv[1]), b'first half, ')
    time.sleep(0.05)
    os.write(int(sys.argv[1]), b'second half')
signal.signal(int(sys.argv[2]), write)
print('ready', flush=True)
time.sleep(60)
"""


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


@contextmanager
def hesitant_process():
    """A reader of the stacks of a process that writes them with a pause."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    command = [sys.executable, "-c", HESITANT, str(writing), str(int(STACKS_SIGNAL))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[writing]) as process:
        pidfd = os.pidfd_open(process.pid)
        try:
            assert process.stdout.readline() == b"ready\n"
            yield StackReader(process.pid, pidfd, reading)
        finally:
            process.kill()
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


async def test_writer_that_has_to_wait_for_a_processor_is_heard_to_the_end():
    with hesitant_process() as reader:
        assert await reader.capture(5) == "first half, second half"
