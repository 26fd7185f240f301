import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.places import MOST_PRIORITY, PRIORITY_SPAN, compute_place, read_priority

priorities = st.integers(-MOST_PRIORITY, MOST_PRIORITY)
orders = st.integers(0, PRIORITY_SPAN - 1)


@given(priorities, orders, priorities, orders)
def test_places_are_ordered_by_priority_then_order(priority, order, other_priority, other_order):
    first = compute_place(priority, order) < compute_place(other_priority, other_order)
    assert first == ((-priority, order) < (-other_priority, other_order))


@given(priorities, orders)
def test_places_survive_being_doubles(priority, order):
    place = compute_place(priority, order)
    assert int(float(place)) == place
    assert read_priority(place) == priority


def test_a_place_out_of_range_is_a_fault():
    with pytest.raises(AssertionError):
        compute_place(MOST_PRIORITY + 1, 0)
