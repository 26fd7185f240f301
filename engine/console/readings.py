"""The engine's own metrics as points in time: rates and quantiles of what happened in between."""

from collections import deque
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Final

import attrs
import msgspec
from prometheus_client.metrics import MetricWrapperBase

from engine import metrics
from engine.console.snapshot import Point

Buckets = tuple[tuple[float, float], ...]
"""Of a histogram: upper bound and how many observations were at most that, since the start."""

_GET_FEATURES: Final = ("trellis.v1.FeatureService", "GetFeatures", "OK")


@attrs.frozen
class Reading:
    """The metrics at one moment."""

    at_s: float
    events: float
    refused_messages: float
    refused_artifacts: float
    lag_messages: float
    jobs: float
    commit: Buckets
    get_features: Buckets
    freshness: Buckets
    loop_lag: Buckets


def take_reading(at_s: float) -> Reading:
    """Read the metrics of this process.

    Args:
      at_s: the time of the reading, on a clock that never jumps.
    """
    return Reading(
        at_s=at_s,
        events=read_sum(metrics.INTAKE_EVENTS),
        refused_messages=read_sum(metrics.INTAKE_REJECTED),
        refused_artifacts=read_sum(metrics.ARTIFACTS_REFUSED),
        lag_messages=read_sum(metrics.INTAKE_LAG),
        jobs=read_sum(metrics.JOBS_FINISHED),
        commit=read_buckets(metrics.WRITER_COMMIT_SECONDS),
        get_features=read_buckets(metrics.RPC_SECONDS.labels(*_GET_FEATURES)),
        freshness=read_buckets(metrics.FEATURE_FRESHNESS),
        loop_lag=read_buckets(metrics.LOOP_LAG_SECONDS),
    )


def read_sum(metric: MetricWrapperBase) -> float:
    """Return a counter's or gauge's value, summed over its labels."""
    return sum(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    )


def read_by_label(metric: MetricWrapperBase) -> dict[str, float]:
    """Return a gauge's values by its only label."""
    return {
        next(iter(sample.labels.values())): sample.value
        for family in metric.collect()
        for sample in family.samples
    }


def read_buckets(metric: MetricWrapperBase) -> Buckets:
    """Return the cumulative buckets of a histogram without labels, or of one of its series."""
    return tuple(
        (float(sample.labels["le"]), sample.value)
        for family in metric.collect()
        for sample in family.samples
        if sample.name.endswith("_bucket")
    )


def compute_point(before: Reading, after: Reading) -> Point:
    """Return what happened between two readings. Pure."""
    elapsed_s = max(1e-3, after.at_s - before.at_s)
    calls = _count(after.get_features) - _count(before.get_features)
    return Point(
        events_per_s=(after.events - before.events) / elapsed_s,
        refused_per_s=(after.refused_messages - before.refused_messages) / elapsed_s,
        refused_artifacts=after.refused_artifacts - before.refused_artifacts,
        lag_messages=after.lag_messages,
        commit_p99_s=compute_quantile(before.commit, after.commit, 0.99),
        get_features_p99_s=compute_quantile(before.get_features, after.get_features, 0.99),
        freshness_p50_s=compute_quantile(before.freshness, after.freshness, 0.5),
        freshness_p99_s=compute_quantile(before.freshness, after.freshness, 0.99),
        calls_per_s=calls / elapsed_s,
        jobs_per_s=(after.jobs - before.jobs) / elapsed_s,
        loop_lag_p99_s=compute_quantile(before.loop_lag, after.loop_lag, 0.99),
    )


def compute_quantile(before: Buckets, after: Buckets, quantile: float) -> float | None:
    """Return a quantile of what was observed between two readings of a histogram.

    Within a bucket observations count as spread evenly; above the last bound they count as it.

    Returns: None if nothing was observed.
    """
    seen = dict(before)
    counts = [(bound, count - seen.get(bound, 0.0)) for bound, count in after]
    total = counts[-1][1] if counts else 0.0
    if total <= 0:
        return None
    rank = quantile * total
    for (low, below), (high, upto) in pairwise([(0.0, 0.0), *counts]):
        if upto >= rank and upto > below:
            return (
                low
                if high == float("inf")
                else low + (high - low) * (rank - below) / (upto - below)
            )
    return None


def _count(buckets: Buckets) -> float:
    return buckets[-1][1] if buckets else 0.0


class PointHistory:
    """The latest points, made of one reading after the other."""

    def __init__(self, most: int) -> None:
        self._points: deque[Point] = deque(maxlen=most)
        self.added = 0
        """How many points there ever were."""
        self._last: Reading | None = None

    def add(self, reading: Reading) -> None:
        """Take the next reading; the first one makes no point yet."""
        if self._last is not None:
            self._points.append(compute_point(self._last, reading))
            self.added += 1
        self._last = reading

    def to_columns(self, most: int | None = None) -> dict[str, list[float | None]]:
        """Return the points by the names of their numbers, four digits each, the oldest first.

        Args:
          most: only so many of the latest; None for all.
        """
        left_out = 0 if most is None else max(0, len(self._points) - most)
        points = tuple(islice(self._points, left_out, None))
        return {name: _column(points, name) for name in _NAMES}


_NAMES: Final = tuple(field.name for field in msgspec.structs.fields(Point))


def _column(points: Sequence[Point], name: str) -> list[float | None]:
    # All digits of a hundred points times nine would be most of what goes over the wire.
    return [
        None if (value := getattr(point, name)) is None else float(f"{value:.4g}")
        for point in points
    ]
