"""Categories side by side: what is new, what is pooled, what is shown."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tasks import reference as reference_module
from engine.tasks.drift.bins import MAX_BINS, OTHERS, category_bins, shorten
from engine.tasks.drift.compare import compare_feature
from engine.tasks.drift.contingency import (
    LEAST_EXPECTED,
    CategoryCounts,
    align_categories,
    pool_rare,
)
from engine.tasks.feature_columns import categorical_column
from engine.tasks.reference import CategoricalReference, make_reference

TEXTS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=80)


def described(values: list[str | None]) -> CategoricalReference:
    table = pa.table({"plan": pa.array(values, pa.string())})
    found = make_reference(table, seed=1).features["plan"]
    assert isinstance(found, CategoricalReference)
    return found


def aligned(reference: list[str | None], current: list[str | None]) -> CategoryCounts:
    column = pa.chunked_array([pa.array(current, pa.string())])
    return align_categories(described(reference), categorical_column(column))


def counts_of(**rows: tuple[int, int]) -> CategoryCounts:
    reference, current = (np.array(side) for side in zip(*rows.values(), strict=True))
    return CategoryCounts(tuple(rows), reference, current, 0, 0, (), 0)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_every_row_is_counted_in_its_category(one: list[str], other: list[str]) -> None:
    counts = aligned([*one, None], [None, *other])
    assert dict(zip(counts.categories, counts.reference.tolist(), strict=True)) == {
        **dict.fromkeys(other, 0),
        **Counter(one),
    }
    assert dict(zip(counts.categories, counts.current.tolist(), strict=True)) == {
        **dict.fromkeys(one, 0),
        **Counter(other),
    }
    assert set(counts.new) == set(other) - set(one)
    assert counts.new_rows == sum(text in counts.new for text in other)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_pooling_loses_no_row_and_leaves_no_rare_category(one: list[str], other: list[str]) -> None:
    counts = aligned(one, other)
    table = pool_rare(counts)
    assert table.sum(axis=1).tolist() == [len(one), len(other)]
    assert table.any(axis=0).all()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    assert table.shape[1] == 1 or expected.min() >= LEAST_EXPECTED - 1e-9


def test_categories_with_few_expected_rows_are_pooled() -> None:
    # The window is a tenth of all rows: 50 of a category make 5 expected ones.
    table = pool_rare(counts_of(a=(800, 90), b=(46, 4), c=(44, 4), d=(10, 2)))
    assert table.tolist() == [[800, 46, 54], [90, 4, 6]]


def test_a_pool_that_is_rare_itself_takes_the_rarest_category_along() -> None:
    table = pool_rare(counts_of(a=(800, 90), b=(97, 9), c=(3, 1)))
    assert table.tolist() == [[800, 100], [90, 10]]


def test_what_the_reference_has_no_name_for_is_pooled_and_never_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_module, "MAX_CATEGORIES", 1)
    counts = aligned(["a"] * 50 + ["b"] * 30, ["a"] * 20 + ["b"] * 20 + ["c"] * 10)
    assert counts.new == ()
    assert pool_rare(counts).tolist() == [[50, 30], [20, 30]]
    reference, current = category_bins(counts)
    assert reference.categories == current.categories == ("a", OTHERS)
    assert reference.shares == (50 / 80, 30 / 80)
    assert current.shares == (20 / 50, 30 / 50)


def test_the_most_frequent_of_either_side_are_shown_and_the_rest_is_one_bin() -> None:
    before = [letter for number, letter in enumerate("abcdefghijklmno") for _ in range(50 - number)]
    after = ["new"] * 500 + before
    reference, current = category_bins(aligned(before, after))
    assert reference.categories[0] == "new"
    assert reference.categories[-1] == OTHERS
    assert len(reference.shares) == len(reference.categories) == MAX_BINS + 1
    assert sum(reference.shares) == pytest.approx(1)
    assert sum(current.shares) == pytest.approx(1)


def test_a_window_or_reference_without_any_value_is_compared_by_missing_rate_alone() -> None:
    for before, after in ((["a"] * 50, [None] * 50), ([None] * 50, ["a"] * 50)):
        column = pa.chunked_array([pa.array(after, pa.string())])
        found = compare_feature("plan", column, described(before), 50)
        assert (found.psi, found.chi_squared, found.new_categories) == (None, None, ())
        assert {found.reference_missing_rate, found.current_missing_rate} == {0.0, 1.0}
        assert found.missing_p_value < 1e-9


def test_a_single_category_that_stays_is_stable_and_one_that_is_replaced_is_not() -> None:
    same = compare_feature("plan", pa.chunked_array([["a"] * 40]), described(["a"] * 90), 90)
    assert (same.psi, same.chi_squared, same.total_variation) == (0.0, None, 0.0)
    other = compare_feature("plan", pa.chunked_array([["b"] * 40]), described(["a"] * 90), 90)
    assert other.chi_squared is not None
    assert other.chi_squared.p_value < 1e-9
    assert (other.total_variation, other.new_categories, other.new_share) == (1.0, ("b",), 1.0)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_names_are_shown_in_one_line_of_36_bytes(name: str) -> None:
    shown = shorten(name)
    assert len(shown.encode()) <= 36
    assert shown.isprintable() or not shown
    if name.isprintable() and len(name.encode()) <= 36:
        assert shown == name
    else:
        assert shown != name
