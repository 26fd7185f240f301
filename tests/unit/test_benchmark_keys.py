"""Whom benchmarks ask for."""

from itertools import pairwise

from benchmarks.unary_load import spread_keys


def test_every_user_is_asked_for_once_before_any_comes_again() -> None:
    keys = spread_keys(2_000, 1_000)

    assert sorted(keys[:1_000]) == [*range(1_000)]
    assert keys[1_000:] == keys[:1_000]
    assert all(abs(a - b) > 1 for a, b in pairwise(keys))
