from engine.jobs.lease_queue import Depth
from engine.jobs.ready_work import ReadyWork


def depth(version, **ready):
    return Depth(version, ready, None)


def test_work_wakes_those_who_wait():
    work = ReadyWork()
    change = work.next_change()
    work.note(depth(1, default=0))
    assert not change.is_set()
    work.note(depth(2, default=1))
    assert change.is_set()
    assert not work.next_change().is_set()


def test_what_one_claim_will_take_is_not_there_for_the_next():
    work = ReadyWork()
    work.note(depth(1, default=5, heavy=1))
    assert work.announce(["default"], 4)
    assert work.announce(["default"], 4)
    assert not work.announce(["default"], 4)
    assert work.announce(None, 4)
    assert not work.announce(None, 4)


def test_an_answer_that_comes_late_does_not_undo_a_later_one():
    work = ReadyWork()
    work.note(depth(7, default=3))
    work.note(depth(6, default=0))
    assert work.announce(None, 1)


def test_another_redis_starts_over():
    work = ReadyWork()
    work.note(depth(70, default=0))
    work.forget()
    work.note(depth(2, default=1))
    assert work.announce(None, 1)


def test_unknown_pools_have_no_work():
    assert not ReadyWork().announce(["nothing"], 1)
