import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.retries import AttemptFacts, Decision, decide_after_error, decide_after_loss
from engine.jobs.settings import JobsSettings
from engine.jobs.states import JobState

SETTINGS = JobsSettings(retry_first_s=1.0, retry_longest_s=60.0)


def facts(failures=0, max_attempts=5, *, uncharged=0, cancel=False):
    return AttemptFacts(failures + uncharged + 1, failures, max_attempts, cancel)


def after_error(of, *, permanent=False, out_of_reach=False, retry_after_s=None, jitter=0.0):
    return decide_after_error(
        of,
        SETTINGS,
        permanent=permanent,
        out_of_reach=out_of_reach,
        retry_after_s=retry_after_s,
        jitter=jitter,
    )


@pytest.mark.parametrize(
    ("failures", "jitter", "delay_s"),
    [(0, 0.0, 0.5), (0, 1.0, 1.0), (1, 1.0, 2.0), (2, 1.0, 4.0), (8, 1.0, 60.0), (900, 0.5, 45.0)],
)
def test_delays_double_up_to_the_longest_and_vary_by_half(failures, jitter, delay_s):
    decision = after_error(facts(failures, 1_000), jitter=jitter)
    assert decision == Decision(None, failures + 1, delay_s)


@given(st.integers(0, 2_000), st.floats(0, 1, exclude_max=True))
def test_delays_stay_within_their_bounds(failures, jitter):
    decision = after_error(facts(failures, 10_000), jitter=jitter)
    assert 0.5 <= decision.delay_s <= SETTINGS.retry_longest_s


def test_the_last_attempt_is_followed_by_none():
    assert after_error(facts(3, 5)).final is None
    assert after_error(facts(4, 5)) == Decision(JobState.DEAD, 5)
    assert after_error(facts(0, 1)) == Decision(JobState.DEAD, 1)


def test_a_permanent_error_is_a_failure_however_many_attempts_are_left():
    assert after_error(facts(), permanent=True) == Decision(JobState.FAILED, 1)
    assert after_error(facts(4), permanent=True) == Decision(JobState.FAILED, 5)


def test_a_job_that_is_to_be_cancelled_is_not_tried_again_nor_charged():
    assert after_error(facts(1, cancel=True)) == Decision(JobState.CANCELLED, 1)
    assert decide_after_loss(facts(1, cancel=True), charged=True) == Decision(JobState.CANCELLED, 1)


@pytest.mark.parametrize(("asked_s", "delay_s"), [(7.0, 7.0), (0.0, 0.0), (-3.0, 0.0)])
def test_a_handler_chooses_the_delay(asked_s, delay_s):
    assert after_error(facts(), retry_after_s=asked_s, jitter=0.7).delay_s == delay_s


@pytest.mark.parametrize(("uncharged", "delay_s"), [(0, 1.0), (1, 2.0), (2, 4.0), (40, 60.0)])
def test_what_was_out_of_reach_is_not_charged_and_tried_again_ever_later(uncharged, delay_s):
    decision = after_error(facts(4, uncharged=uncharged), out_of_reach=True, jitter=1.0)
    assert decision == Decision(None, 4, delay_s)


def test_what_is_out_of_reach_time_and_again_is_charged_in_the_end():
    assert after_error(facts(0, uncharged=49), out_of_reach=True).failures == 0
    assert after_error(facts(0, uncharged=50), out_of_reach=True).failures == 1
    assert after_error(facts(4, uncharged=50), out_of_reach=True) == Decision(JobState.DEAD, 5)


def test_a_permanent_error_is_one_whatever_was_out_of_reach():
    decision = after_error(facts(), permanent=True, out_of_reach=True)
    assert decision == Decision(JobState.FAILED, 1)


def test_a_lost_worker_costs_no_delay():
    assert decide_after_loss(facts(1), charged=True) == Decision(None, 2, 0.0)
    assert decide_after_loss(facts(4), charged=True) == Decision(JobState.DEAD, 5)


def test_what_is_not_charged_never_gives_a_job_up():
    assert decide_after_loss(facts(4), charged=False) == Decision(None, 4)
