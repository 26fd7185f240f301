import resource
import signal
import subprocess
import sys

import pytest

from engine.tasks.parsing.memory import memory_ceiling
from tests.support.engine_process import ROOT

MIB = 1 << 20


def limits():
    return resource.getrlimit(resource.RLIMIT_DATA)


def test_what_goes_beyond_fails_and_all_is_as_before():
    before = limits()
    with pytest.raises(MemoryError), memory_ceiling(64 * MIB):
        bytearray(256 * MIB)
    assert limits() == before
    assert len(bytearray(256 * MIB)) == 256 * MIB


def test_what_stays_below_succeeds():
    with memory_ceiling(256 * MIB):
        assert len(bytearray(64 * MIB)) == 64 * MIB


def test_a_lower_limit_of_the_process_stays():
    before = limits()
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, before[1]))
    try:
        with memory_ceiling(16 << 30):
            assert limits()[0] == 8 << 30
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_an_interruption_right_after_the_limit_is_set_leaves_nothing_behind(monkeypatch):
    class Interrupted(BaseException):
        pass

    def interrupt(number, frame):
        raise Interrupted

    before, set_limit = limits(), resource.setrlimit
    calls = []

    def set_and_interrupt(*arguments):
        set_limit(*arguments)
        calls.append(arguments)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGUSR1)

    monkeypatch.setattr(resource, "setrlimit", set_and_interrupt)
    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted), memory_ceiling(64 * MIB):
            pytest.fail("the block was entered")
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert limits() == before


CHECKS_UNDER_A_CEILING = """
import threading, time
from engine.tasks.checks import CheckingThread
from engine.tasks.hand import Hand
from engine.tasks.link import Order, Reply
from engine.tasks.orders import Orders
from engine.tasks.parsing.memory import memory_ceiling

class Link:
    answered = closed = refused = needs_bytes = 0
    def check(self, report, timeout_s):
        try:
            bytearray(self.needs_bytes)
        except MemoryError:
            self.refused += 1
            raise
        self.answered += 1
        return Reply(Order.CONTINUE)
    def close(self):
        self.closed += 1

link = Link()
CheckingThread(
    link, lambda: None, None, Hand(), Orders(), lambda seconds: None,
    interval_s=0.01, deadline_s=1.0, gone_after_s=5.0,
).start()

def until(condition):
    end_s = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)

with memory_ceiling(64 << 20):
    hoard = []
    try:
        while True:
            hoard.append(bytearray(1 << 20))
    except MemoryError:
        pass
    link.needs_bytes = 4 << 20
    until(lambda: link.refused > 2)
del hoard
before = link.answered
until(lambda: link.answered > before + 2)
print("checked again", link.closed == link.refused)
"""


def test_a_worker_whose_job_has_used_up_the_ceiling_goes_on_checking():
    done = subprocess.run(
        [sys.executable, "-c", CHECKS_UNDER_A_CEILING],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.stdout == "checked again True\n", done.stderr
