"""Rows in order: taken from the front, checked, put together, cut into messages."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.history import EVENTS
from engine.history.sorted_rows import SortedRows, is_sorted, sort_together, split_rows
from tests.support.archived_rows import make_stored_events

KEYS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 2)), min_size=1)


def offsets(rows: pa.RecordBatch) -> list[int]:
    return rows.column("offset").to_pylist()


@given(KEYS, st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_rows_are_taken_up_to_a_limit_and_no_further(keys, limit) -> None:
    rows = SortedRows(EVENTS, make_stored_events(sorted(keys)))
    taken = rows.take_before(limit)
    before = [key for key in sorted(keys) if (key[0], key[1]) < limit]
    assert taken.num_rows == len(before)
    assert rows.is_empty == (len(before) == len(keys))
    if not rows.is_empty:
        assert rows.first_key[:2] >= limit
        assert rows.take_before((*rows.last_key, 0)).num_rows == len(keys) - len(before)
        assert rows.is_empty


@given(KEYS)
def test_order_is_told_by_the_whole_key(keys) -> None:
    assert is_sorted(EVENTS, make_stored_events(keys)) == (keys == sorted(keys))


@given(st.lists(KEYS, min_size=1, max_size=4))
def test_sorted_parts_together_are_sorted_and_whole(parts) -> None:
    batches = [make_stored_events(sorted(keys)) for keys in parts]
    together = sort_together(EVENTS, batches)
    assert is_sorted(EVENTS, together)
    assert sorted(offsets(together)) == sorted(key[2] for keys in parts for key in keys)


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 7), st.integers(1, 100))
def test_parts_are_whole_in_order_and_within_their_bounds(sizes, most_rows, most_bytes) -> None:
    texts = pa.array(["x" * size for size in sizes], pa.string())
    rows = pa.record_batch([texts, pa.array(range(len(sizes)))], names=["text", "number"])
    parts = [*split_rows(rows, most_rows=most_rows, most_bytes=most_bytes)]
    assert [n for part in parts for n in part.column("number").to_pylist()] == [*range(len(sizes))]
    for part in parts:
        size_bytes = sum(map(len, part.column("text").to_pylist()))
        assert 0 < part.num_rows <= most_rows
        assert size_bytes <= most_bytes or part.num_rows == 1


def test_a_key_of_fewer_values_comes_before_all_that_begin_with_them() -> None:
    rows = SortedRows(EVENTS, make_stored_events([(5, 1, 0), (5, 2, 0)]))
    assert rows.take_before((5,)).num_rows == 0
    assert rows.take_before((5, 2)).num_rows == 1
    with pytest.raises(AssertionError):
        SortedRows(EVENTS, make_stored_events([(5, 1, 0)]).slice(1))
