"""Up to when rows are moved, in what portions, and how failures space out."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import to_datetime
from engine.retention.bounds import compute_delay_s, compute_until_us, cut_steps

HOUR_US = 3_600_000_000


def test_bound_is_the_midnight_before_so_many_days() -> None:
    noon_us = 1_750_000_000_000_000 // (24 * HOUR_US) * 24 * HOUR_US + 12 * HOUR_US
    assert str(to_datetime(noon_us)) == "2025-06-15 12:00:00"
    assert str(to_datetime(compute_until_us(noon_us, 3))) == "2025-06-12 00:00:00"
    before_midnight_us, midnight_us = noon_us + 12 * HOUR_US - 1, noon_us + 12 * HOUR_US
    assert compute_until_us(before_midnight_us, 3) == compute_until_us(noon_us, 3)
    assert str(to_datetime(compute_until_us(midnight_us, 3))) == "2025-06-13 00:00:00"


@given(
    weights=st.lists(st.integers(0, 50), max_size=60),
    most_rows=st.integers(1, 20),
    most_bytes=st.integers(1, 200),
)
def test_portions_cover_every_row_once_within_both_limits(
    weights: list[int], most_rows: int, most_bytes: int
) -> None:
    steps = [*cut_steps(np.array(weights, dtype=np.int64), most_rows, most_bytes)]
    assert [row for first, count in steps for row in range(first, first + count)] == [
        *range(len(weights))
    ]
    for first, count in steps:
        assert 1 <= count <= most_rows
        assert count == 1 or sum(weights[first : first + count]) <= most_bytes
    for (first, count), _ in itertools.pairwise(steps):
        fuller = sum(weights[first : first + count + 1])
        assert count == most_rows or fuller > most_bytes, "a portion is as large as it may be"


def test_failures_are_followed_by_ever_longer_waits_up_to_the_longest() -> None:
    delays_s = [compute_delay_s(failures, 30.0, 1_800.0) for failures in range(1, 12)]
    assert delays_s[:4] == [30, 60, 120, 240]
    assert delays_s[-1] == compute_delay_s(10_000, 30.0, 1_800.0) == 1_800
