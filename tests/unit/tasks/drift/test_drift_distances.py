"""Distances, tests and corrections give what scipy's and plain definitions give, on any data."""

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from engine.tasks.drift import distances
from engine.tasks.drift.contingency import chi_squared_test, total_variation
from engine.tasks.drift.correction import holm
from engine.tasks.drift.distances import measure_distances
from engine.tasks.drift.kolmogorov_smirnov import EXACT_UP_TO, ks_p_value
from engine.tasks.drift.stability import LEAST_SHARE, population_stability_index

ANY = st.floats(-1e100, 1e100)
TIED = st.integers(-4, 4).map(float)
SAMPLES = st.lists(ANY, min_size=1, max_size=40) | st.lists(TIED, min_size=1, max_size=120)


def ascending(values: list[float]) -> np.ndarray:
    return np.sort(np.array(values, dtype=np.float64))


def scipy_ks(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = ks_2samp(first, second)
    return float(found.statistic), float(found.pvalue)


@settings(deadline=None)
@given(SAMPLES, SAMPLES, st.sampled_from([1, 2, 7, 8_192]))
@example([0.0], [0.0], 1)
@example([1.0], [2.0], 1)
@example([0.0, -0.0], [0.0] * 7, 2)
@example([5e-324], [-5e-324, 0.0], 1)
def test_distances_and_p_value_are_those_of_scipy_whatever_the_blocks(
    one: list[float], other: list[float], block: int
) -> None:
    first, second = ascending(one), ascending(other)
    statistic, p_value = scipy_ks(first, second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_BLOCK", block)
        found = measure_distances(first, second)
    assert found.largest == pytest.approx(statistic, abs=1e-12)
    assert found.area == pytest.approx(wasserstein_distance(first, second), rel=1e-9, abs=1e-300)
    assert ks_p_value(found.largest, first, second) == pytest.approx(p_value, abs=1e-9)


@settings(deadline=None)
@given(SAMPLES, SAMPLES)
def test_distances_are_the_same_both_ways_and_zero_to_itself(
    one: list[float], other: list[float]
) -> None:
    first, second = ascending(one), ascending(other)
    there, back = measure_distances(first, second), measure_distances(second, first)
    assert there.largest == pytest.approx(back.largest, abs=1e-15)
    assert there.area == pytest.approx(back.area, rel=1e-12)
    own = measure_distances(first, first)
    assert (own.largest, own.area) == (0.0, 0.0)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(300, 12_000), (12_000, 300), (20_000, 20_001), (9_999, 2_000), (700, 700)]),
    st.sampled_from([0.0, 0.02, 0.1, 1.0]),
    st.sampled_from([None, 0.5]),
)
def test_larger_samples_agree_with_scipy_on_both_sides_of_the_exact_method(
    seed: int, sizes: tuple[int, int], shift: float, grain: float | None
) -> None:
    random = np.random.default_rng(seed)
    first, second = (np.sort(random.normal(size=size)) for size in sizes)
    second += shift
    if grain is not None:
        first, second = np.round(first / grain) * grain, np.round(second / grain) * grain
    statistic, p_value = scipy_ks(first, second)
    found = measure_distances(first, second)
    assert found.largest == pytest.approx(statistic, abs=1e-12)
    assert found.area == pytest.approx(wasserstein_distance(first, second), rel=1e-9)
    assert ks_p_value(found.largest, first, second) == pytest.approx(p_value, abs=1e-9)


@pytest.mark.parametrize("size", [EXACT_UP_TO - 1, EXACT_UP_TO, EXACT_UP_TO + 1])
def test_the_method_changes_where_scipys_does(size: int) -> None:
    first = np.linspace(0, 1, size)
    second = np.linspace(0, 1, 40) ** 1.4
    statistic, p_value = scipy_ks(first, second)
    assert ks_p_value(statistic, first, second) == pytest.approx(p_value, abs=1e-9)


def test_an_area_beyond_the_largest_double_is_not_finite() -> None:
    found = measure_distances(np.array([-1.7e308]), np.array([1.7e308]))
    assert found.largest == 1.0
    assert not math.isfinite(found.area)


COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12)


@settings(deadline=None)
@given(COUNTS)
def test_chi_squared_is_that_of_scipy_without_correction(columns: list[tuple[int, int]]) -> None:
    table = np.array([column for column in columns if any(column)]).T
    if table.size == 0 or table.shape[1] < 2 or not table.sum(axis=1).all():
        return
    expected = chi2_contingency(table, correction=False)
    found = chi_squared_test(table)
    assert found is not None
    assert found.value == pytest.approx(expected.statistic, rel=1e-9, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)


def test_one_column_leaves_nothing_to_test() -> None:
    assert chi_squared_test(np.array([[9], [4]])) is None


SHARES = st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any)


@settings(deadline=None)
@given(SHARES, st.randoms())
def test_stability_index_is_its_plain_definition(counts: list[int], random: object) -> None:
    other = list(counts)
    random.shuffle(other)
    reference, current = (np.array(each) / sum(each) for each in (counts, other))
    total = 0.0
    for r, c in zip(reference, current, strict=True):
        before, after = max(r, LEAST_SHARE), max(c, LEAST_SHARE)
        total += (after - before) * math.log(after / before)
    found = population_stability_index(reference, current)
    assert found == pytest.approx(total, rel=1e-9, abs=1e-12)
    assert found >= 0
    assert population_stability_index(reference, reference) == 0.0
    assert found == pytest.approx(population_stability_index(current, reference), rel=1e-12)


def test_total_variation_of_two_categories_is_the_difference_of_one() -> None:
    assert total_variation(np.array([0.5, 0.5]), np.array([0.7, 0.3])) == pytest.approx(0.2)
    assert total_variation(np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.5, 0.5])) == 1.0


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_corrects_stepwise_in_any_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert len(corrected) == len(p_values)
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(order):
        stepped = [(len(p_values) - k) * p_values[order[k]] for k in range(rank + 1)]
        assert corrected[place] == min(1.0, max(stepped))
    assert all(corrected[a] <= corrected[b] for a, b in pairwise(order))
    assert all(after >= before for before, after in zip(p_values, corrected, strict=True))


def test_holm_of_a_known_family() -> None:
    # Of Holm's procedure by hand: 4 x 0.01, 3 x 0.02, 2 x 0.03 and 0.04, which may not fall.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
