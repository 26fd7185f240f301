"""Accumulators: merging tiles gives what adding every event to one would give, in any order."""

from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.features.accumulators import AnyAccumulator, Count, Distinct, First, Last, Total
from engine.features.aggregate_sql import from_micros_sql
from engine.features.exact import MICROS_LIMIT, from_micros, to_micros

EVENTS = st.lists(
    st.tuples(
        st.tuples(st.integers(-5, 5), st.integers(0, 2), st.integers(0, 2), st.integers(0, 99)),
        st.sampled_from((0.1, 0.2, -3.5, 1e300, -1e300, 7.0)),
    ),
    max_size=20,
    unique_by=lambda event: event[0],
)


def state(accumulator: AnyAccumulator) -> dict[str, Any]:
    return {name: getattr(accumulator, name) for name in (*accumulator.__slots__, "newest_us")}


def filled(family: type[AnyAccumulator], events: list[Any]) -> AnyAccumulator:
    accumulator = family()
    for position, item in events:
        accumulator.add(position, None if family is Count else item)
    return accumulator


@pytest.mark.parametrize("family", [Count, Total, First, Last, Distinct])
@given(data=st.data(), events=EVENTS)
def test_merging_equals_adding_in_any_order(
    family: type[AnyAccumulator], data: st.DataObject, events: list[Any]
) -> None:
    shuffled = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(events)))
    parts: list[Any] = [filled(family, shuffled[:cut]), filled(family, shuffled[cut:])]
    assert state(family.merge(parts)) == state(filled(family, events))


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (0.1, 100_000),
        (5e-7, 0),
        (1.5e-6, 2),
        (2.5e-6, 2),
        (-1.5e-6, -2),
        (1e300, MICROS_LIMIT),
        (-1e308, -MICROS_LIMIT),
        (9.3e12, MICROS_LIMIT),
    ],
)
def test_values_become_whole_micros_rounded_half_to_even(value: float, micros: int) -> None:
    assert to_micros(value) == micros


@pytest.mark.parametrize(
    ("micros", "value"),
    [
        (MICROS_LIMIT, float(2**63) / 1e6),
        (10 * 10**18, 1e13),
        (-10 * 10**18 - 999_999, -1e13),
        (MICROS_LIMIT * 10**6 + 999_999, float(2**63)),
        (-MICROS_LIMIT * 10**9, -float(2**63)),
    ],
)
def test_sums_past_64_bits_count_whole_units_in_python_and_in_sql(
    micros: int, value: float
) -> None:
    assert from_micros(micros) == value
    expression = from_micros_sql("total")
    sql = f"SELECT {expression} FROM (SELECT {micros}::HUGEINT AS total)"
    assert duckdb.sql(sql).fetchall() == [(value,)]
