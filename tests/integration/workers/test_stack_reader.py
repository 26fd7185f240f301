"""Stacks of a process that ends while they are asked for."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import trio
import trio.testing

from engine.workers.proctable import read_stat
from engine.workers.stack_text import summarize_stack
from engine.workers.stacks import StackReader
from engine.workers.zygote_wire import OWN_STACK_SIGNAL, STACKS_SIGNAL

HESITANT = """
import os, signal, sys, time
pipe, own, everything = map(int, sys.argv[1:])
def write(*_):
    os.write(pipe, b'first half, ')
    time.sleep(0.05)
    os.write(pipe, b'second half')
signal.signal(everything, write)
signal.signal(own, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
"""

CRASHES = """
import faulthandler, os, sys, time, signal
pipe, own, everything = map(int, sys.argv[1:])
faulthandler.register(own, file=pipe, all_threads=False)
def crash(*_):
    os.write(pipe, b'Thread 0x1 (most recent call first):\\n  File ')
    os.kill(os.getpid(), signal.SIGSEGV)
signal.signal(everything, crash)
def hang():
    print('ready', flush=True)
    time.sleep(60)
hang()
"""
HANGS = """
import faulthandler, sys, time
pipe, own, everything = map(int, sys.argv[1:])
faulthandler.register(own, file=pipe, all_threads=False)
faulthandler.register(everything, file=pipe, all_threads=True)
print('ready', flush=True)
time.sleep(60)
"""
SIGNALS = (str(int(OWN_STACK_SIGNAL)), str(int(STACKS_SIGNAL)))


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
def running_process(program):
    """A reader of the stacks of a process that runs a program."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    command = [sys.executable, "-c", program, str(writing), *SIGNALS]
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
    with running_process(HESITANT) as reader:
        assert await reader.capture(1) == "first half, second half"


async def test_process_that_crashes_while_it_writes_has_told_what_its_main_thread_did():
    with running_process(CRASHES) as reader:
        stacks = await reader.capture(5)
        assert "Thread 0x1" in stacks
        assert summarize_stack(stacks).startswith("hang (<string>:")


def test_main_threads_stack_comes_first_also_from_a_process_that_hears_both_signals_at_once():
    reading, writing = os.pipe2(os.O_CLOEXEC)
    command = [sys.executable, "-c", HANGS, str(writing), *SIGNALS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[writing]) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            for number in (OWN_STACK_SIGNAL, STACKS_SIGNAL, signal.SIGCONT):
                process.send_signal(number)
            assert os.read(reading, 1_000).startswith(b"Stack (most recent call first):")
        finally:
            process.kill()
            os.close(reading)
            os.close(writing)
