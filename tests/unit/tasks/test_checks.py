import time

import pytest

from engine.tasks import checks
from engine.tasks.checks import CheckingThread
from engine.tasks.hand import Done, Job
from engine.tasks.link import EngineUnreachableError, GivenUpError, Order, Reply
from engine.workers.exits import WorkerExit


class Died(BaseException):
    pass


@pytest.fixture
def start(inside, monkeypatch):
    """Start a checking thread; what it would die of is in the list that is returned."""
    died, threads, postponed = [], [], []

    def die(reason, message):
        died.append(reason)
        raise Died

    monkeypatch.setattr(checks, "_die", die)
    monkeypatch.setattr(CheckingThread, "_run", _run_until_died)

    def start(interval_s=0.01, deadline_s=0.02):
        thread = CheckingThread(
            inside.engine, lambda: "report", inside.cancellation, inside.hand, inside.orders,
            postponed.append,
            interval_s=interval_s, deadline_s=deadline_s, gone_after_s=6 * deadline_s,
        )  # fmt: skip
        threads.append(thread._thread)
        thread.start()
        inside.postponed = postponed
        return thread, died

    yield start
    inside.engine.replies.extendleft([GivenUpError("end of the test")] * 3)
    for thread in threads:
        thread.join()


def _run_until_died(thread):
    try:
        thread._check_for_ever()
    except Died:
        return


def until(condition, timeout_s=5.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_first_check_comes_at_once_and_others_at_the_interval(inside, start):
    began_s = time.monotonic()
    start(interval_s=0.05)
    until(lambda: inside.engine.reports)
    assert time.monotonic() - began_s < 0.04
    until(lambda: len(inside.engine.reports) == 4)
    assert 0.14 < time.monotonic() - began_s < 0.4


@pytest.mark.parametrize("reply", [Reply(Order.DIE), GivenUpError("unknown worker")])
def test_worker_that_was_given_up_dies_at_once(inside, start, reply):
    inside.engine.replies.append(reply)
    _, died = start()
    until(lambda: died)
    assert died == [WorkerExit.LEASE_LOST]


def test_worker_leaves_when_told(inside, start):
    inside.engine.replies.append(Reply(Order.LEAVE))
    start()
    until(lambda: inside.orders.reason_to_leave is WorkerExit.LEFT)


def test_order_to_cancel_reaches_the_job(inside, start):
    inside.engine.replies.append(Reply(Order.CANCEL_JOB, "token-0"))
    start()
    until(lambda: "token-0" in inside.cancellation._cancelled)


def test_engine_that_is_silent_for_a_while_is_waited_for(inside, start):
    inside.engine.replies.extend([EngineUnreachableError("away")] * 3)
    _, died = start(interval_s=0.005, deadline_s=1.0)
    until(lambda: len(inside.engine.reports) > 5)
    assert not died


def test_engine_that_is_silent_for_long_is_gone(inside, start):
    inside.engine.replies.extend([EngineUnreachableError("away")] * 1_000)
    _, died = start(interval_s=0.005, deadline_s=0.01)
    until(lambda: died)
    assert died == [WorkerExit.ENGINE_GONE]


def test_long_job_does_not_hold_up_the_others_in_hand(inside, start, monkeypatch):
    monkeypatch.setattr(checks, "_LONG_S", 0.05)
    jobs = [Job(f"job-{n}", f"token-{n}", "x", b"{}") for n in range(3)]
    inside.hand.take(jobs)
    inside.hand.put([Done(Job("before", "token", "x", b"{}"), b"{}")])
    inside.orders.begin_job()
    start()
    assert not inside.engine.returned
    until(lambda: inside.engine.returned == jobs)
    until(lambda: len(inside.engine.handed_in) == 1)
    assert inside.hand.next_job() is None


def test_check_that_there_is_no_memory_for_is_tried_again_over_another_connection(inside, start):
    inside.engine.replies.extend([MemoryError()] * 3)
    _, died = start(interval_s=0.005, deadline_s=1.0)
    until(lambda: len(inside.engine.reports) > 5)
    assert inside.engine.closed == 3
    assert not died


def test_last_resort_is_postponed_by_answers_alone(inside, start):
    inside.engine.replies.extend([Reply(Order.CONTINUE), EngineUnreachableError("away")])
    start(interval_s=0.005, deadline_s=1.0)
    until(lambda: len(inside.postponed) == 4)
    assert len(inside.engine.reports) in {4, 5}
    assert all(6.3 < seconds <= 6.5 for seconds in inside.postponed)


def test_short_job_is_left_alone(inside, start):
    inside.hand.take([Job("job", "token", "x", b"{}")])
    start()
    until(lambda: len(inside.engine.reports) > 3)
    assert not inside.engine.returned


def test_check_that_the_engine_wants_sooner_comes_then_and_the_next_when_it_is_due(inside, start):
    began_s = time.monotonic()
    inside.engine.replies.extend(
        [Reply(Order.CONTINUE, again_in_s=0.05), Reply(Order.CONTINUE, again_in_s=9.0)]
    )
    start(interval_s=0.3, deadline_s=5.0)
    until(lambda: len(inside.engine.reports) == 2)
    assert 0.04 < time.monotonic() - began_s < 0.25
    until(lambda: len(inside.engine.reports) == 3)
    assert 0.29 < time.monotonic() - began_s < 0.5
