"""Metrics become points: rates, quantiles, and nothing where nothing was seen."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from engine.console.readings import (
    Buckets,
    PointHistory,
    Reading,
    compute_point,
    compute_quantile,
    read_buckets,
    read_sum,
    take_reading,
)

NONE_SEEN: Buckets = ((0.1, 0.0), (1.0, 0.0), (math.inf, 0.0))


def reading(at_s: float, events: float = 0.0, calls: Buckets = NONE_SEEN) -> Reading:
    return Reading(
        at_s=at_s,
        events=events,
        refused_messages=events / 10,
        refused_artifacts=events,
        lag_messages=7.0,
        jobs=0.0,
        commit=NONE_SEEN,
        get_features=calls,
        freshness=NONE_SEEN,
        loop_lag=NONE_SEEN,
    )


def test_a_rate_is_what_came_by_the_time_it_took() -> None:
    point = compute_point(reading(10.0, events=100.0), reading(12.0, events=150.0))
    assert point.events_per_s == 25.0
    assert point.refused_per_s == 2.5
    assert point.refused_artifacts == 50.0
    assert point.lag_messages == 7.0


def test_nothing_observed_is_no_number() -> None:
    point = compute_point(reading(0.0), reading(1.0))
    assert point.get_features_p99_s is None
    assert point.calls_per_s == 0.0


@pytest.mark.parametrize(
    ("quantile", "expected"), [(0.25, 0.05), (0.5, 0.1), (0.75, 0.55), (1.0, 1.0)]
)
def test_a_quantile_lies_within_its_bucket(quantile: float, expected: float) -> None:
    after: Buckets = ((0.1, 10.0), (1.0, 20.0), (math.inf, 20.0))
    assert compute_quantile(NONE_SEEN, after, quantile) == pytest.approx(expected)


def test_what_is_above_the_last_bound_counts_as_it() -> None:
    after: Buckets = ((0.1, 0.0), (1.0, 0.0), (math.inf, 5.0))
    assert compute_quantile(NONE_SEEN, after, 0.99) == 1.0


def test_only_what_came_since_the_reading_before_counts() -> None:
    before: Buckets = ((0.1, 1000.0), (1.0, 1000.0), (math.inf, 1000.0))
    after: Buckets = ((0.1, 1000.0), (1.0, 1010.0), (math.inf, 1010.0))
    median_s = compute_quantile(before, after, 0.5)
    assert median_s is not None
    assert median_s > 0.1


def test_metrics_are_read_without_the_time_they_were_made() -> None:
    own = CollectorRegistry()
    counter = Counter("seen", "Seen.", ["kind"], registry=own)
    counter.labels("a").inc(2)
    counter.labels("b").inc(3)
    seconds = Histogram("took_seconds", "Took.", buckets=(0.1, 1), registry=own)
    seconds.observe(0.5)
    assert read_sum(counter) == 5.0
    assert read_buckets(seconds) == ((0.1, 0.0), (1.0, 1.0), (math.inf, 1.0))


def test_history_keeps_the_latest_points() -> None:
    history = PointHistory(most=2)
    for second, events in enumerate((0.0, 1.0, 3.0, 6.0)):
        history.add(reading(float(second), events=events))
    columns = history.to_columns()
    assert columns["events_per_s"] == [2.0, 3.0]
    assert columns["commit_p99_s"] == [None, None]


def test_the_engine_s_own_metrics_can_be_read() -> None:
    taken = take_reading(1.0)
    assert taken.commit[-1][0] == math.inf
    assert taken.get_features[-1][0] == math.inf


def test_the_latest_points_can_be_had_without_the_rest() -> None:
    history = PointHistory(3)
    for second in range(6):
        history.add(take_reading(float(second)))
    assert history.added == 5
    assert len(history.to_columns()["lag_messages"]) == 3
    assert len(history.to_columns(1)["lag_messages"]) == 1
    assert len(history.to_columns(0)["lag_messages"]) == 0
    assert len(history.to_columns(9)["lag_messages"]) == 3
