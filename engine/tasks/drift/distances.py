"""How far two samples of numbers are apart."""

import attrs
import numpy as np

from engine.tasks.feature_columns import FloatArray, IntArray


@attrs.frozen
class Distances:
    """Between the distribution functions of two samples.

    `largest` is the Kolmogorov-Smirnov statistic, that of `scipy.stats.ks_2samp`. `area` lies
    between the two functions: the Wasserstein distance, that of
    `scipy.stats.wasserstein_distance`, in units of the values. It is not finite where the values
    are near the largest double.
    """

    largest: float
    area: float


def measure_distances(first: FloatArray, second: FloatArray) -> Distances:
    """Return the distances of two samples that are sorted already.

    The distinct values of the smaller sample are looked up in the larger one, once; both distances
    follow from where they fall.

    Args:
      first: ascending, finite, at least one value.
      second: likewise.
    """
    few, many = (first, second) if len(first) <= len(second) else (second, first)
    last_of_ties = np.flatnonzero(np.append(few[1:] != few[:-1], True))
    points = few[last_of_ties]
    few_shares = np.concatenate(([0.0], (last_of_ties + 1) / len(few)))
    at = np.searchsorted(many, points, side="right")
    before = at.copy()
    # Where `at` is 0 all of `many` is greater, its last value included.
    tied = many[at - 1] == points
    before[tied] = np.searchsorted(many, points[tied], side="left")
    # Between two points the function of `few` is flat and that of `many` only rises, so the
    # distance is largest at a point or just before one.
    largest = max(
        np.abs(few_shares[1:] - at / len(many)).max(),
        np.abs(few_shares[:-1] - before / len(many)).max(),
    )
    return Distances(float(largest), _measure_area(points, few_shares, many, at))


def _measure_area(
    points: FloatArray, few_shares: FloatArray, many: FloatArray, at: IntArray
) -> float:
    """Return the area between the two functions.

    Args:
      few_shares: the one function's value before the first of the points and from each on.
      at: how many of the other sample's values are not greater than each of the points.
    """
    is_point = np.zeros(len(points) + len(many), dtype=np.bool_)
    is_point[at + np.arange(len(points))] = True
    merged = np.empty(len(is_point))
    merged[is_point] = points
    merged[~is_point] = many
    points_passed = np.cumsum(is_point)[:-1]
    many_passed = np.arange(1, len(merged)) - points_passed
    heights = np.abs(few_shares[points_passed] - many_passed / len(many))
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.dot(heights, np.diff(merged)))
