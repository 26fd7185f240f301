from hypothesis import given
from hypothesis import strategies as st

from engine.workers.lease import Lease, Verdict


def new_lease():
    return Lease(0.0, start_timeout_s=30.0, check_deadline_s=5.0)


def test_a_new_worker_has_its_start_time():
    lease = new_lease()
    assert lease.deadline_s == 30.0
    assert lease.verdict(29.9) is None
    assert lease.verdict(30.0) is Verdict.SILENT


def test_a_process_that_has_started_has_so_long_for_its_first_check():
    lease = new_lease()
    lease.on_start(12.0, 5.0)
    assert lease.deadline_s == 17.0
    lease.on_check(13.0, "", 0, 60.0)
    lease.on_start(13.5, 50.0)
    assert lease.deadline_s == 18.0


def test_a_check_moves_the_deadline():
    lease = new_lease()
    lease.on_check(2.0, "", 0, 60.0)
    assert lease.deadline_s == 7.0
    assert lease.verdict(7.0) is Verdict.SILENT


def test_checks_without_progress_do_not_move_the_stall_deadline():
    lease = new_lease()
    for now_s in range(20):
        lease.on_check(float(now_s), "t1", 0, 10.0)
    assert lease.deadline_s == 10.0
    assert lease.verdict(10.0) is Verdict.STALLED


def test_progress_and_another_job_move_the_stall_deadline():
    lease = new_lease()
    lease.on_check(0.0, "t1", 0, 4.0)
    lease.on_check(3.0, "t1", 1, 4.0)
    assert lease.deadline_s == 7.0
    lease.on_check(6.0, "t2", 1, 4.0)
    assert lease.deadline_s == 10.0


def test_a_worker_that_goes_on_asking_for_jobs_never_stalls():
    lease = new_lease()
    lease.on_check(0.0, "t1", 0, 4.0)
    for now_s in range(1, 100):
        lease.on_check(float(now_s), "", now_s // 3, 4.0)
        assert lease.verdict(float(now_s)) is None


def test_a_worker_that_checks_in_but_asks_for_nothing_stalls():
    lease = new_lease()
    lease.on_check(0.0, "t1", 7, 4.0)
    for now_s in (1.0, 3.0, 5.0, 7.0):
        lease.on_check(now_s, "", 7, 8.0)
    assert lease.deadline_s == 9.0
    assert lease.verdict(9.0) is Verdict.STALLED


def test_a_cancelled_job_has_its_grace_once():
    lease = new_lease()
    for now_s in (0.0, 1.0, 2.0):
        lease.on_check(now_s, "t1", int(now_s), 60.0)
        lease.on_cancel(now_s, 2.5)
    assert lease.deadline_s == 2.5
    assert lease.verdict(2.5) is Verdict.UNCANCELLED
    lease.on_check(2.4, "", 0, 60.0)
    assert lease.verdict(2.5) is None


def test_what_the_engine_slept_through_is_forgiven():
    lease = new_lease()
    lease.on_check(0.0, "", 0, 60.0)
    lease.forgive(20.0, 1.0)
    assert lease.verdict(20.0) is None
    assert lease.verdict(21.0) is Verdict.SILENT


def test_a_job_is_not_held_to_have_stood_still_while_the_engine_slept():
    lease = new_lease()
    lease.on_check(0.0, "t1", 3, 10.0)
    lease.on_check(4.0, "t1", 3, 10.0)
    lease.on_cancel(4.0, 2.5)
    lease.forgive(30.0, 1.0)
    lease.on_check(30.5, "t1", 3, 10.0)
    assert lease.deadline_s == 32.5
    assert lease.verdict(32.5) is Verdict.UNCANCELLED


def test_after_the_engine_has_slept_a_job_that_stands_still_has_what_it_had_left():
    lease = new_lease()
    lease.on_check(0.0, "t1", 3, 10.0)
    lease.on_check(4.0, "t1", 3, 10.0)
    lease.forgive(30.0, 1.0)
    for now_s in (30.5, 34.0):
        lease.on_check(now_s, "t1", 3, 10.0)
    assert lease.deadline_s == 36.0
    assert lease.verdict(36.0) is Verdict.STALLED


@given(st.lists(st.tuples(st.floats(0, 4), st.sampled_from(["", "a", "b"]), st.integers(0, 2))))
def test_there_is_a_verdict_exactly_from_the_deadline_on(checks):
    lease = new_lease()
    now_s = 0.0
    for wait_s, token, progress in checks:
        now_s += wait_s
        lease.on_check(now_s, token, progress, 7.0)
        deadline_s = lease.deadline_s
        assert deadline_s <= now_s + 5.0
        assert lease.verdict(deadline_s) is not None
        assert lease.verdict(deadline_s - 1e-6) is None
