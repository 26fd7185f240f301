"""Whether a training would have rows enough, against the split that it then makes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.config import SplitSpec
from engine.learning.enough_rows import count_rows_to_fit
from engine.tasks.training.split import split_by_time


@given(
    times=st.lists(st.integers(0, 100), max_size=60),
    share=st.floats(0.01, 0.99),
    within_s=st.sampled_from([0.0, 1.0, 15.0, 60.0]),
)
def test_it_counts_what_the_split_by_time_leaves_to_fit_on(
    times: list[int], share: float, within_s: float
) -> None:
    times_us = np.array(times, np.int64) * 1_000_000
    fitted, _ = split_by_time(times_us, share, within_s)

    counted = count_rows_to_fit(times_us, SplitSpec(test_share=share), within_s)

    assert counted == int(fitted.sum())


def test_observations_of_one_moment_are_enough_where_entities_are_held_out() -> None:
    times_us = np.zeros(1_000, np.int64)
    assert count_rows_to_fit(times_us, SplitSpec(by="entity", test_share=0.25), 86_400) == 750
    assert count_rows_to_fit(times_us, SplitSpec(by="time", test_share=0.25), 86_400) == 0
