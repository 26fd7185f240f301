"""Which rows a model is judged by: never ones that it could have learned from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tasks.training.split import is_held_out, split_by_time

SECOND = 1_000_000
TIMES = st.lists(st.integers(0, 100), min_size=1, max_size=80)


@given(TIMES, st.integers(0, 60), st.floats(0.01, 0.99))
def test_a_time_split_leaves_the_whole_gap_out(
    times_s: list[int], within_s: int, share: float
) -> None:
    times_us = np.array(times_s, np.int64) * SECOND
    fitted, tested = split_by_time(times_us, share, within_s)
    assert not (fitted & tested).any()
    assert tested.any()
    begin_us = times_us[tested].min()
    assert (times_us[~tested] < begin_us).all()
    # What became of a row that is fitted on was known when the first held-out one was observed.
    assert (times_us[fitted] + within_s * SECOND <= begin_us).all()
    left_out = ~(fitted | tested)
    assert (times_us[left_out] + within_s * SECOND > begin_us).all()


def test_a_time_split_holds_out_the_share_asked_for() -> None:
    times_us = np.random.default_rng(1).permutation(10_000) * SECOND
    fitted, tested = split_by_time(times_us, 0.25, 0.5)
    assert tested.sum() == 2_500
    assert fitted.sum() == 7_500


def test_rows_of_one_moment_are_all_held_out() -> None:
    fitted, tested = split_by_time(np.full(50, 7 * SECOND), 0.25, 60)
    assert not fitted.any()
    assert tested.all()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50), st.integers(0, 2**31 - 1))
def test_an_entity_split_is_the_documented_hash(keys: list[int], seed: int) -> None:
    mask = 2**64 - 1

    def step(state: int) -> int:
        mixed = (state + 0x9E3779B97F4A7C15) & mask
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        return mixed ^ (mixed >> 31)

    expected = [(step((key & mask) ^ step(seed)) >> 11) / 2**53 < 0.3 for key in keys]
    assert is_held_out(np.array(keys, np.int64), seed, 0.3).tolist() == expected


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_an_entity_split_holds_out_about_the_share_asked_for(share: float) -> None:
    keys = np.arange(100_000)
    first, second = (is_held_out(keys, seed, share) for seed in (1, 2))
    assert first.mean() == pytest.approx(share, abs=0.01)
    # Another seed is another choice.
    assert (first & second).mean() == pytest.approx(share**2, abs=0.01)


def test_more_entities_leave_the_choice_of_the_others_alone() -> None:
    few = is_held_out(np.arange(100), 5, 0.25)
    many = is_held_out(np.arange(1_000), 5, 0.25)
    assert many[:100].tolist() == few.tolist()
