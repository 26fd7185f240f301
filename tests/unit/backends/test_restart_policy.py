import pytest

from engine.backends.restart import RestartHistory, RestartPolicy

POLICY = RestartPolicy(first_delay_s=0.1, longest_delay_s=10, steady_after_s=30, alarm_after=5)
ALMOST_ONE = 1 - 1e-12


def test_a_single_crash_is_followed_by_a_start_at_once():
    decision = RestartHistory(POLICY).record_end(served_s=3600, jitter=0.0)
    assert (decision.delay_s, decision.failures, decision.alarm) == (0.05, 1, False)


def test_delays_double_up_to_the_longest_and_never_shrink_to_nothing():
    history = RestartHistory(POLICY)
    delays = [history.record_end(0.0, ALMOST_ONE).delay_s for _ in range(10)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])


def test_jitter_spreads_a_delay_over_its_upper_half():
    shortest = RestartHistory(POLICY).record_end(0.0, 0.0).delay_s
    longest = RestartHistory(POLICY).record_end(0.0, ALMOST_ONE).delay_s
    assert (shortest, longest) == (pytest.approx(0.05), pytest.approx(0.1))


def test_alarm_is_raised_beyond_the_allowed_row_of_failures_and_stays():
    history = RestartHistory(POLICY)
    alarms = [history.record_end(0.0, 0.5).alarm for _ in range(8)]
    assert alarms == [False] * 5 + [True] * 3


def test_short_service_does_not_end_a_row_of_failures():
    history = RestartHistory(POLICY)
    for _ in range(6):
        decision = history.record_end(served_s=29.9, jitter=0.0)
    assert decision.alarm


def test_steady_service_ends_a_row_of_failures():
    history = RestartHistory(POLICY)
    for _ in range(9):
        history.record_end(0.0, 0.0)
    decision = history.record_end(served_s=30.0, jitter=0.0)
    assert (decision.failures, decision.alarm) == (1, False)


def test_failing_for_years_overflows_nothing():
    history = RestartHistory(POLICY)
    for _ in range(5_000):
        decision = history.record_end(0.0, ALMOST_ONE)
    assert decision.delay_s == pytest.approx(10)
