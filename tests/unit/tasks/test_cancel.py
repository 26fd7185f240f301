import signal
import threading
import time

import pytest

from engine.tasks import cancel
from engine.tasks.cancel import CANCEL_SIGNAL, Cancellation
from engine.tasks.errors import JobCancelled


@pytest.fixture
def cancellation():
    before = signal.getsignal(CANCEL_SIGNAL)
    yield Cancellation()
    signal.signal(CANCEL_SIGNAL, before)


def _compute_for_ever():
    while True:
        pass


def later(call, *arguments):
    timer = threading.Timer(0.02, call, arguments)
    timer.start()
    return timer


def test_sleeping_job_is_interrupted(cancellation):
    later(cancellation.request, "a")
    began_s = time.monotonic()
    with pytest.raises(JobCancelled), cancellation.running("a"):
        time.sleep(10)
    assert time.monotonic() - began_s < 5


def test_computing_job_is_interrupted(cancellation):
    later(cancellation.request, "a")
    with pytest.raises(JobCancelled), cancellation.running("a"):
        _compute_for_ever()


def test_job_that_has_not_begun_is_cancelled_when_it_does(cancellation):
    cancellation.request("a")
    with pytest.raises(JobCancelled), cancellation.running("a"):
        pytest.fail("it ran")


def test_only_the_job_that_is_meant_is_interrupted(cancellation):
    timer = later(cancellation.request, "a")
    with cancellation.running("b"):
        timer.join()
        time.sleep(0.05)
    signal.raise_signal(CANCEL_SIGNAL)
    cancellation.forget("a")
    with cancellation.running("a"):
        cancellation.check()


def test_cleaning_up_is_not_interrupted_at_once(cancellation):
    later(cancellation.request, "a")
    cleaned = []

    def sleep_and_clean_up():
        try:
            time.sleep(10)
        finally:
            cancellation.request("a")
            cancellation.request("a")
            cleaned.append(True)

    with pytest.raises(JobCancelled), cancellation.running("a"):
        sleep_and_clean_up()
    assert cleaned


def test_job_that_takes_no_notice_is_interrupted_again(cancellation, monkeypatch):
    monkeypatch.setattr(cancel, "_AGAIN_S", 0.01)
    later(cancellation.request, "a")

    def sleep_on():
        try:
            time.sleep(10)
        except JobCancelled:
            later(cancellation.request, "a")
            time.sleep(10)

    with pytest.raises(JobCancelled), cancellation.running("a"):
        sleep_on()
