import pytest
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
    assert lease.deadline_s == 7.5
    lease.on_check(6.0, "t2", 1, 4.0)
    assert lease.deadline_s == 10.5


def test_a_stall_counts_from_when_the_job_began_or_moved_by_its_workers_clock():
    lease = new_lease()
    lease.on_check(0.0, "", 7, 60.0)
    lease.on_hand_out(0.1)
    lease.on_check(1.0, "t1", 0, 4.0, still_s=0.8)
    lease.on_check(2.0, "t1", 0, 4.0, still_s=1.8)
    assert lease.stalls_in_s(2.0) == pytest.approx(2.2)
    lease.on_check(3.0, "t1", 5, 4.0, still_s=0.3)
    lease.on_check(4.0, "t1", 5, 4.0, still_s=0.0)
    assert lease.stalls_in_s(4.0) == pytest.approx(2.7)


@pytest.mark.parametrize(("still_s", "begun_s"), [(-5.0, 3.0), (0.0, 3.0), (0.5, 2.5), (1e9, 2.2)])
def test_what_a_worker_says_is_believed_back_to_when_it_was_handed_the_job(still_s, begun_s):
    lease = new_lease()
    lease.on_check(2.0, "", 7, 60.0)
    lease.on_hand_out(2.2)
    lease.on_check(3.0, "t1", 0, 4.0, still_s)
    assert lease.stalls_in_s(3.0) == pytest.approx(begun_s + 4.0 - 3.0)


def test_what_a_worker_says_is_believed_back_to_its_last_check():
    lease = new_lease()
    lease.on_check(2.0, "t1", 0, 4.0)
    lease.on_check(3.0, "t1", 1, 4.0, still_s=1e9)
    assert lease.stalls_in_s(3.0) == 3.0


def test_a_job_that_may_have_moved_since_the_last_check_is_given_time_to_say_so():
    lease = new_lease()
    lease.on_check(0.0, "t1", 0, 4.0)
    lease.on_check(3.9, "t1", 0, 4.0, still_s=3.9)
    assert lease.verdict(4.2) is None
    lease.on_check(4.3, "t1", 1, 4.0, still_s=0.35)
    assert lease.stalls_in_s(4.3) == pytest.approx(3.65)
    lease.on_check(7.96, "t1", 1, 4.0, still_s=4.01)
    assert lease.deadline_s == 7.96
    assert lease.verdict(7.96) is Verdict.STALLED


def test_a_job_that_began_while_the_engine_slept_is_not_held_to_have_stood_still_then():
    lease = new_lease()
    lease.on_check(0.0, "", 0, 60.0)
    lease.on_hand_out(0.1)
    lease.forgive(30.0, 1.0)
    lease.on_check(30.1, "t1", 0, 10.0, still_s=29.9)
    assert lease.stalls_in_s(30.1) == pytest.approx(9.9)


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
    assert lease.deadline_s == 9.5
    assert lease.verdict(9.5) is Verdict.STALLED


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
    assert lease.deadline_s == 36.5
    assert lease.verdict(36.5) is Verdict.STALLED


@given(
    st.lists(
        st.tuples(
            st.floats(0, 4),
            st.sampled_from(["", "a", "b"]),
            st.integers(0, 2),
            st.floats(-1, 30),
        )
    )
)
def test_there_is_a_verdict_exactly_from_the_deadline_on(checks):
    lease = new_lease()
    now_s = 0.0
    for wait_s, token, progress, still_s in checks:
        now_s += wait_s
        lease.on_check(now_s, token, progress, 7.0, still_s)
        deadline_s = lease.deadline_s
        assert deadline_s <= now_s + 5.0
        assert lease.verdict(deadline_s) is not None
        assert lease.verdict(deadline_s - 1e-6) is None
