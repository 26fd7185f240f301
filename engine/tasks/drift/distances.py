"""How far two samples of numbers are apart."""

from collections.abc import Iterator
from typing import Final

import attrs
import numpy as np

from engine.tasks.feature_columns import FloatArray, IntArray

_BLOCK: Final = 8_192
"""Values at a time. Arrays of this size stay in the processor's cache and on the heap; larger ones
are mapped and unmapped by each operation, which takes longer than the operation."""


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


@attrs.frozen(eq=False)
class _Overlay:
    """The distinct values of the smaller sample (`points`), placed in the larger one (`many`)."""

    points: FloatArray
    shares: FloatArray
    """The smaller sample's function before the first point, then from each point on."""
    many: FloatArray
    at: IntArray
    """How many of `many` are not greater than each point."""


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
    overlay = _Overlay(
        points=few[last_of_ties],
        shares=np.concatenate(([0.0], (last_of_ties + 1) / len(few))),
        many=many,
        at=np.empty(len(last_of_ties), dtype=np.int64),
    )
    largest = max(_place(overlay, start, stop) for start, stop in _blocks(len(last_of_ties)))
    with np.errstate(over="ignore", invalid="ignore"):
        return Distances(largest, _area_from_points(overlay) + _area_from_many(overlay))


def _place(overlay: _Overlay, start: int, stop: int) -> float:
    """Look up a block of the points; return the largest distance at them or just before them.

    Between two points the function of `few` is flat and that of `many` only rises, so the distance
    is largest at one of these.
    """
    points, many = overlay.points[start:stop], overlay.many
    at = np.searchsorted(many, points, side="right")
    overlay.at[start:stop] = at
    before = at.copy()
    # Where `at` is 0 all of `many` is greater, its last value included.
    tied = many[at - 1] == points
    before[tied] = np.searchsorted(many, points[tied], side="left")
    largest_at = np.abs(overlay.shares[start + 1 : stop + 1] - at / len(many)).max()
    largest_before = np.abs(overlay.shares[start:stop] - before / len(many)).max()
    return float(max(largest_at, largest_before))


def _area_from_points(overlay: _Overlay) -> float:
    """Return the area of the rectangles that begin at points.

    Both functions are flat from each value of either sample to the next, so the area between them
    is a sum of rectangles.
    """
    points, many = overlay.points, overlay.many
    end = max(points[-1], many[-1])
    area = 0.0
    for start, stop in _blocks(len(points)):
        at = overlay.at[start:stop]
        next_points = _next(points, start, stop, end)
        next_many = np.where(at < len(many), many[np.minimum(at, len(many) - 1)], end)
        widths = np.minimum(next_points, next_many) - points[start:stop]
        heights = np.abs(overlay.shares[start + 1 : stop + 1] - at / len(many))
        area += float(np.dot(heights, widths))
    return area


def _area_from_many(overlay: _Overlay) -> float:
    """Return the area of the rectangles that begin at values of the larger sample."""
    points, many = overlay.points, overlay.many
    end = max(points[-1], many[-1])
    next_points = np.append(points, end)
    area = 0.0
    for start, stop in _blocks(len(many)):
        # How many points the first and the last value of the block have behind them, and how many
        # values of the block lie between each of these points and the next.
        first, last = np.searchsorted(overlay.at, [start, stop - 1], side="right")
        between = np.diff(overlay.at[first:last], prepend=start, append=stop)
        passed = slice(first, last + 1)
        widths = np.minimum(np.repeat(next_points[passed], between), _next(many, start, stop, end))
        widths -= many[start:stop]
        heights = np.repeat(overlay.shares[passed], between)
        heights -= np.arange(start + 1, stop + 1) / len(many)
        area += float(np.dot(np.abs(heights), widths))
    return area


def _next(values: FloatArray, start: int, stop: int, end: float) -> FloatArray:
    """Return what comes after each value of a block, `end` after the last of all."""
    if stop < len(values):
        return values[start + 1 : stop + 1]
    return np.append(values[start + 1 :], end)


def _blocks(size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, size, _BLOCK):
        yield start, min(size, start + _BLOCK)
