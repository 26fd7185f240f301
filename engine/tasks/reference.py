"""Reference statistics: what a model's features looked like in training, for drift. Pure."""

import math
from collections.abc import Mapping
from typing import ClassVar, Final

import attrs
import numpy as np
import pyarrow as pa

from engine.tasks.feature_columns import (
    FloatArray,
    IntArray,
    Kind,
    categorical_column,
    kind_of,
    numeric_column,
)

MAX_SAMPLE: Final = 100_000
"""Values kept of a numeric feature, 0.8 MB. Distances between distributions are found to within
about 1 / sqrt(100,000) = 0.003, far below any threshold of use."""

MAX_CATEGORIES: Final = 10_000
"""Categories kept by name, the most frequent ones; what has more is no category but an identity."""

_DECILES: Final = np.arange(1, 10) / 10


@attrs.frozen(eq=False)
class NumericReference:
    """A numeric feature in training. All but `sample` are of all its values.

    Bins are open to the left and closed to the right: the first reaches from minus infinity to
    `edges[0]`, the last from beyond `edges[-1]` to infinity.
    """

    kind: ClassVar[Kind] = Kind.NUMERIC
    count: int
    """Rows with a value."""
    missing_rate: float
    sample: FloatArray = attrs.field(repr=False)
    """Sorted; at most `MAX_SAMPLE` values, drawn without replacement."""
    edges: FloatArray
    """Inner edges of the bins, ascending."""
    shares: FloatArray
    """Share of the values in each bin, one more than edges."""
    mean: float
    std: float
    """Of the population; NaN like the mean where there is no value."""


@attrs.frozen(eq=False)
class CategoricalReference:
    """A categorical feature in training."""

    kind: ClassVar[Kind] = Kind.CATEGORICAL
    count: int
    """Rows with a value."""
    missing_rate: float
    categories: tuple[str, ...] = attrs.field(repr=False)
    """At most `MAX_CATEGORIES`, the most frequent first."""
    counts: IntArray = attrs.field(repr=False)
    """Rows of each; what is lacking to `count` are rows of categories not kept."""


FeatureReference = NumericReference | CategoricalReference


@attrs.frozen(eq=False)
class Reference:
    """The features of a trained version, and its predictions, over the same rows."""

    rows: int
    features: Mapping[str, FeatureReference]
    prediction: FeatureReference | None


def make_reference(
    features: pa.Table, *, seed: int, prediction: pa.ChunkedArray | pa.Array | None = None
) -> Reference:
    """Return the statistics of a training set.

    Args:
      features: a column a feature, of type int64, double, bool or string; null is missing. At
        least one row.
      seed: of the samples; the same rows and seed give the same statistics.
      prediction: the version's scores (or classes) of rows it was not fitted on, or its labels'
        drift would look like that of its inputs.
    Raises:
      ValueError: a column has another type, or there is no row.
    """
    if not features.num_rows:
        raise ValueError("statistics need at least one row")
    random = np.random.default_rng(seed)
    described = {
        name: _describe(column, random)
        for name, column in zip(features.column_names, features.columns, strict=True)
    }
    if prediction is None:
        return Reference(features.num_rows, described, None)
    scores = pa.chunked_array(prediction) if isinstance(prediction, pa.Array) else prediction
    return Reference(features.num_rows, described, _describe(scores, random))


def quantile_edges(ordered: FloatArray) -> FloatArray:
    """Return inner edges that cut the sorted values into up to ten bins of about equal size.

    Edges are values that occur, since between the values of a count there is nothing to cut. Where
    ties make quantiles fall together there are fewer. An edge at the greatest value would cut
    nothing off, so the next lower value stands for it. A constant has a bin below it, one of its
    own, and one above it.
    """
    if not len(ordered):
        return ordered
    least, greatest = ordered[0], ordered[-1]
    if least == greatest:
        below = math.nextafter(least, -math.inf)
        # There is nothing below the lowest double.
        return np.array([below, least] if math.isfinite(below) else [least])
    edges = np.unique(np.quantile(ordered, _DECILES, method="inverted_cdf"))
    if edges[-1] == greatest:
        below = ordered[np.searchsorted(ordered, greatest, side="left") - 1]
        edges = np.unique(np.append(edges[:-1], below))
    return edges


def bin_counts(ordered: FloatArray, edges: FloatArray) -> IntArray:
    """Return how many of the sorted values lie in each bin."""
    inner = np.searchsorted(ordered, edges, side="right")
    return np.diff(inner, prepend=0, append=len(ordered))


def _describe(column: pa.ChunkedArray, random: np.random.Generator) -> FeatureReference:
    if kind_of(column.type) is Kind.NUMERIC:
        return _describe_numeric(column, random)
    found = categorical_column(column)
    return CategoricalReference(
        count=int(found.counts.sum()),
        missing_rate=_rate(found.missing, len(column)),
        categories=found.categories[:MAX_CATEGORIES],
        counts=found.counts[:MAX_CATEGORIES],
    )


def _describe_numeric(column: pa.ChunkedArray, random: np.random.Generator) -> NumericReference:
    found = numeric_column(column)
    ordered = np.sort(found.values)
    edges = quantile_edges(ordered)
    counts = bin_counts(ordered, edges)
    sample = ordered
    if len(ordered) > MAX_SAMPLE:
        drawn = random.choice(len(ordered), MAX_SAMPLE, replace=False, shuffle=False)
        sample = ordered[np.sort(drawn)]
    with np.errstate(over="ignore", invalid="ignore"):
        # Of values near the largest double they overflow; then there is no unit to measure in.
        mean, std = (ordered.mean(), ordered.std()) if len(ordered) else (np.nan, np.nan)
    return NumericReference(
        count=len(ordered),
        missing_rate=_rate(found.missing, len(column)),
        sample=sample,
        edges=edges,
        shares=counts / max(1, len(ordered)),
        mean=float(mean),
        std=float(std),
    )


def _rate(missing: int, rows: int) -> float:
    return missing / rows if rows else 0.0
