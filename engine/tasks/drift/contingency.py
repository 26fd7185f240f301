"""Counts of categories in two windows, and whether chance explains the difference."""

from typing import Final

import attrs
import numpy as np
from scipy.special import chdtrc

from engine.tasks.drift.statistic import Statistic
from engine.tasks.feature_columns import CategoricalColumn, FloatArray, IntArray
from engine.tasks.reference import CategoricalReference

LEAST_EXPECTED: Final = 5.0
"""Rows a category is expected to have in either window for the chi-squared approximation to hold
(W. G. Cochran, "Some methods for strengthening the common chi-squared tests", Biometrics 10 (1954),
417-451)."""


@attrs.frozen(eq=False)
class CategoryCounts:
    """Rows of each category in both windows; those beyond what the reference keeps are unnamed.

    New categories are those which the reference certainly did not have; where it did not keep all
    names nobody can tell.
    """

    categories: tuple[str, ...]
    reference: IntArray
    current: IntArray
    unnamed_reference: int
    unnamed_current: int
    new: tuple[str, ...]
    new_rows: int


def align_categories(reference: CategoricalReference, current: CategoricalColumn) -> CategoryCounts:
    """Return the counts of both windows side by side, new categories last."""
    position = {category: place for place, category in enumerate(reference.categories)}
    aligned = np.zeros(len(position), dtype=np.int64)
    unknown: list[int] = []
    for place, category in enumerate(current.categories):
        known = position.get(category)
        if known is None:
            unknown.append(place)
        else:
            aligned[known] = current.counts[place]
    unnamed = reference.count - int(reference.counts.sum())
    unknown_counts = current.counts[unknown]
    unknown_rows = int(unknown_counts.sum())
    if unnamed:
        return CategoryCounts(
            reference.categories, reference.counts, aligned, unnamed, unknown_rows, (), 0
        )
    new = tuple(current.categories[place] for place in unknown)
    return CategoryCounts(
        reference.categories + new,
        np.append(reference.counts, np.zeros(len(new), dtype=np.int64)),
        np.append(aligned, unknown_counts),
        0,
        0,
        new,
        unknown_rows,
    )


def pool_rare(counts: CategoryCounts) -> IntArray:
    """Return a table of two rows, reference and current, a column a category or the pool.

    Categories that would have fewer than `LEAST_EXPECTED` rows in either window, if both were of
    one distribution, are pooled, with unnamed ones. If the pool would have too few itself, it takes
    the rarest of the others along. No column is empty.
    """
    table = np.stack([counts.reference, counts.current])
    unnamed = np.array([counts.unnamed_reference, counts.unnamed_current])
    sizes = table.sum(axis=1) + unnamed
    least_share = sizes.min() / max(1, sizes.sum())
    totals = table.sum(axis=0)
    rare = totals * least_share < LEAST_EXPECTED
    pool = table[:, rare].sum(axis=1) + unnamed
    kept = table[:, ~rare]
    if not pool.any():
        return kept
    if pool.sum() * least_share < LEAST_EXPECTED and kept.shape[1]:
        rarest = int(np.argmin(kept.sum(axis=0)))
        pool = pool + kept[:, rarest]
        kept = np.delete(kept, rarest, axis=1)
    return np.column_stack([kept, pool])


def chi_squared_test(table: IntArray) -> Statistic | None:
    """Return Pearson's test of whether both rows are of one distribution.

    It equals `scipy.stats.chi2_contingency(table, correction=False)`: without Yates' correction,
    with columns - 1 degrees of freedom.

    Args:
      table: two rows of counts, neither of them empty, and no empty column.
    Returns: None if there are fewer than two columns, so that there is nothing to test.
    """
    columns = table.shape[1]
    if columns < 2:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    value = float(((table - expected) ** 2 / expected).sum())
    return Statistic(value, float(chdtrc(columns - 1, value)))


def shares(table: IntArray) -> FloatArray:
    """Return each row's shares of its columns."""
    fractions: FloatArray = table / table.sum(axis=1, keepdims=True)
    return fractions


def total_variation(reference: FloatArray, current: FloatArray) -> float:
    """Return the largest difference in probability over all sets of categories.

    For categories this is what the Kolmogorov-Smirnov distance is for numbers, and the same where
    there are two of them.
    """
    return float(np.abs(current - reference).sum() / 2)
