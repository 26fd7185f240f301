from hypothesis import given
from hypothesis import strategies as st

from engine.workers.restarts import Pause, Restarts


def new_restarts(intensity=4):
    return Restarts(intensity=intensity, period_s=60.0, backoff_max_s=0.3, park_s=30.0)


def test_the_first_restart_is_immediate_and_the_others_wait_longer_and_longer():
    restarts = new_restarts()
    delays = [restarts.on_failure(float(now)).delay_s for now in range(4)]
    assert delays == [0.0, 0.1, 0.2, 0.3]


def test_too_many_failures_park_the_slot_and_it_is_tried_again():
    restarts = new_restarts(intensity=2)
    assert [restarts.on_failure(now).parked for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert restarts.on_failure(32.0) == Pause(30.0, parked=True)


def test_old_failures_are_forgotten():
    restarts = new_restarts(intensity=2)
    for now_s in (0.0, 1.0, 2.0):
        restarts.on_failure(now_s)
    assert restarts.on_failure(62.0) == Pause(0.0, parked=False)


@given(st.integers(1, 6), st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_no_period_has_more_restarts_than_the_intensity_allows(intensity, lifetimes_s):
    restarts = Restarts(intensity=intensity, period_s=60.0, backoff_max_s=10.0, park_s=30.0)
    now_s, unparked_s = 0.0, []
    for lifetime_s in lifetimes_s:
        now_s += lifetime_s
        pause = restarts.on_failure(now_s)
        assert 0.0 <= pause.delay_s <= 30.0
        if not pause.parked:
            unparked_s.append(now_s)
        now_s += pause.delay_s
    for begin_s in unparked_s:
        within = [at for at in unparked_s if begin_s <= at < begin_s + 60.0 - 1e-6]
        assert len(within) <= intensity
