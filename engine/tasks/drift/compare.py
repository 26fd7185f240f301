"""The scores of one feature: the window against the reference. No thresholds here."""

import math
from typing import Final

import attrs
import numpy as np
import pyarrow as pa

from engine.tasks.drift.bins import Bins, category_bins, numeric_bins
from engine.tasks.drift.contingency import (
    align_categories,
    chi_squared_test,
    pool_rare,
    shares,
    total_variation,
)
from engine.tasks.drift.distances import measure_distances
from engine.tasks.drift.kolmogorov_smirnov import ks_p_value
from engine.tasks.drift.stability import population_stability_index
from engine.tasks.drift.statistic import Statistic
from engine.tasks.feature_columns import IntArray, Kind, categorical_column, numeric_column
from engine.tasks.reference import (
    CategoricalReference,
    FeatureReference,
    NumericReference,
    bin_counts,
)

LEAST_VALUES: Final = 20
"""With fewer values in the reference or in the window, distances say nothing and are not taken."""


@attrs.frozen
class Comparison:
    """A feature's scores; None where one does not apply or there are too few values."""

    feature: str
    kind: Kind
    reference_rows: int
    """Rows of the reference that have a value."""
    current_rows: int
    """Rows of the window that have a value."""
    reference_missing_rate: float
    current_missing_rate: float
    missing_p_value: float
    """Of the chi-squared test of whether values are missing as often as they were."""
    reference_bins: Bins
    current_bins: Bins
    psi: float | None = None
    ks: Statistic | None = None
    """Kolmogorov-Smirnov; numeric ones only."""
    wasserstein: float | None = None
    """In standard deviations of the reference; numeric ones only, None for a constant."""
    chi_squared: Statistic | None = None
    """Categorical ones only."""
    total_variation: float | None = None
    """Categorical ones only."""
    new_categories: tuple[str, ...] = ()
    """The most frequent first."""
    new_share: float = 0.0
    """Share of the window's values that are in new categories."""

    @property
    def p_value(self) -> float | None:
        """The probability that chance makes the distributions as different."""
        test = self.ks if self.kind is Kind.NUMERIC else self.chi_squared
        return None if test is None else test.p_value


class KindChangedError(Exception):
    """The feature was of another kind in training: there is nothing to compare."""


def compare_feature(
    feature: str, column: pa.ChunkedArray, reference: FeatureReference, reference_rows: int
) -> Comparison:
    """Return the scores of a feature.

    Args:
      column: the feature in the window, of the type it had in training; null is missing.
      reference_rows: all rows of the reference.
    Raises:
      KindChangedError: numbers are to be compared with text.
    """
    is_text = pa.types.is_string(column.type)
    if not pa.types.is_null(column.type) and is_text is not (reference.kind is Kind.CATEGORICAL):
        raise KindChangedError(f"{feature} was {reference.kind} in training and is {column.type}")
    match reference:
        case NumericReference():
            compared = _compare_numbers(feature, column, reference)
        case CategoricalReference():
            compared = _compare_categories(feature, column, reference)
    missing = np.array(
        [
            [reference_rows - reference.count, reference.count],
            [len(column) - compared.current_rows, compared.current_rows],
        ]
    )
    return attrs.evolve(compared, missing_p_value=_missing_p_value(missing))


def _compare_numbers(
    feature: str, column: pa.ChunkedArray, reference: NumericReference
) -> Comparison:
    found = numeric_column(column)
    ordered = np.sort(found.values)
    counts = bin_counts(ordered, reference.edges)
    current_shares = counts / max(1, len(ordered))
    compared = Comparison(
        feature=feature,
        kind=Kind.NUMERIC,
        reference_rows=reference.count,
        current_rows=len(ordered),
        reference_missing_rate=reference.missing_rate,
        current_missing_rate=_rate(found.missing, len(column)),
        missing_p_value=1.0,
        reference_bins=numeric_bins(reference.edges, reference.shares),
        current_bins=numeric_bins(reference.edges, current_shares),
    )
    if min(len(ordered), reference.count) < LEAST_VALUES:
        return compared
    distances = measure_distances(reference.sample, ordered)
    wasserstein = distances.area / reference.std if reference.std else math.nan
    return attrs.evolve(
        compared,
        psi=population_stability_index(reference.shares, current_shares),
        ks=Statistic(distances.largest, ks_p_value(distances.largest, reference.sample, ordered)),
        wasserstein=wasserstein if math.isfinite(wasserstein) else None,
    )


def _compare_categories(
    feature: str, column: pa.ChunkedArray, reference: CategoricalReference
) -> Comparison:
    found = categorical_column(column)
    current_rows = int(found.counts.sum())
    counts = align_categories(reference, found)
    reference_bins, current_bins = category_bins(counts)
    compared = Comparison(
        feature=feature,
        kind=Kind.CATEGORICAL,
        reference_rows=reference.count,
        current_rows=current_rows,
        reference_missing_rate=reference.missing_rate,
        current_missing_rate=_rate(found.missing, len(column)),
        missing_p_value=1.0,
        reference_bins=reference_bins,
        current_bins=current_bins,
    )
    if min(current_rows, reference.count) < LEAST_VALUES:
        return compared
    table = pool_rare(counts)
    reference_shares, current_shares = shares(table)
    return attrs.evolve(
        compared,
        psi=population_stability_index(reference_shares, current_shares),
        chi_squared=chi_squared_test(table),
        total_variation=total_variation(reference_shares, current_shares),
        new_categories=counts.new,
        new_share=counts.new_rows / current_rows,
    )


def _missing_p_value(missing: IntArray) -> float:
    """Return the p-value of missing and present rows, 1 where none or all are missing."""
    occupied = missing[:, missing.any(axis=0)]
    test = chi_squared_test(occupied)
    return 1.0 if test is None else test.p_value


def _rate(missing: int, rows: int) -> float:
    return missing / rows if rows else 0.0
