import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tasks.batch import IN_HAND_S, MOST, BatchSize


def sized_after(*durations_s):
    size = BatchSize()
    for duration_s in durations_s:
        size.note(duration_s)
    return size.most()


@pytest.mark.parametrize(
    ("durations_s", "most"),
    [
        ((), 1),
        ((0.0,), MOST),
        ((0.0001,) * 5, MOST),
        ((0.005,) * 5, 10),
        ((0.04,), 1),
        ((0.0001,) * 30 + (1.0,), 1),
        ((1.0,) + (0.0001,) * 40, MOST),
    ],
)
def test_work_in_hand_is_bounded(durations_s, most):
    assert sized_after(*durations_s) == most


@given(st.lists(st.floats(0, 100), min_size=1))
def test_expected_work_never_exceeds_what_may_be_in_hand(durations_s):
    most = sized_after(*durations_s)
    recent = durations_s[-32:]
    assert 1 <= most <= MOST
    assert most == 1 or most * sum(recent) / len(recent) <= IN_HAND_S * 1.001
