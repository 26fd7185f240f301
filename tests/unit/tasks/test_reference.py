"""What is kept of a training set to compare with later."""

import math
import subprocess
import sys
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tasks import reference as reference_module
from engine.tasks.reference import (
    CategoricalReference,
    NumericReference,
    Reference,
    bin_counts,
    make_reference,
    quantile_edges,
)
from engine.tasks.reference_file import (
    UnreadableReferenceError,
    read_reference,
    write_reference,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.integers(-3, 3)


def numeric(values: object, kind: pa.DataType | None = None) -> NumericReference:
    table = pa.table({"x": pa.array(values, kind or pa.float64())})
    found = make_reference(table, seed=1).features["x"]
    assert isinstance(found, NumericReference)
    return found


def same(one: object, other: object) -> bool:
    """Equal in every field, to the last bit, NaN included."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return one == other


def assert_equal(one: Reference, other: Reference) -> None:
    assert one.rows == other.rows
    assert list(one.features) == list(other.features)
    pairs = [(one.prediction, other.prediction)]
    pairs += [(one.features[name], other.features[name]) for name in one.features]
    for left, right in pairs:
        assert type(left) is type(right)
        if left is None or right is None:
            continue
        for field in attrs.fields(type(left)):
            assert same(getattr(left, field.name), getattr(right, field.name)), field.name


def test_nulls_and_what_is_no_number_are_missing() -> None:
    found = numeric([1.0, None, math.nan, math.inf, -math.inf, 3.0, 2.0, 2.0])
    assert (found.count, found.missing_rate) == (4, 0.5)
    assert found.sample.tolist() == [1.0, 2.0, 2.0, 3.0]
    assert (found.mean, found.std) == (2.0, math.sqrt(0.5))


def test_booleans_and_integers_are_numbers() -> None:
    assert numeric([True, None, False, True], pa.bool_()).sample.tolist() == [0.0, 1.0, 1.0]
    assert numeric([2**53 + 1, 3], pa.int64()).sample.tolist() == [3.0, float(2**53)]


def test_a_column_without_values_is_described() -> None:
    found = numeric([None, None])
    assert (found.count, found.missing_rate, len(found.edges)) == (0, 1.0, 0)
    assert found.shares.tolist() == [0.0]
    assert math.isnan(found.mean)


@pytest.mark.parametrize(
    ("values", "edges", "counts"),
    [
        (range(100), [9, 19, 29, 39, 49, 59, 69, 79, 89], [10] * 10),
        ([0] * 95 + [1] * 5, [0], [95, 5]),
        ([0] * 5 + [1] * 95, [0], [5, 95]),
        ([0] * 50 + [1] * 45 + [2] * 4 + [7], [0, 1], [50, 45, 5]),
        ([0] * 3 + [5] * 4 + [9] * 93, [5], [7, 93]),
        ([5] * 9, [math.nextafter(5, 0), 5], [0, 9, 0]),
        ([-sys.float_info.max] * 9, [-sys.float_info.max], [9, 0]),
    ],
)
def test_edges_cut_something_off_whatever_the_ties(
    values: list[float], edges: list[float], counts: list[int]
) -> None:
    ordered = np.array(values, dtype=np.float64)
    assert quantile_edges(ordered).tolist() == edges
    assert bin_counts(ordered, quantile_edges(ordered)).tolist() == counts


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=60))
def test_bins_hold_every_value_once_and_no_bin_of_varied_values_is_empty(
    values: list[float],
) -> None:
    ordered = np.sort(np.array(values, dtype=np.float64))
    edges = quantile_edges(ordered)
    counts = bin_counts(ordered, edges)
    assert counts.sum() == len(values)
    naive = np.bincount(np.digitize(ordered, edges, right=True), minlength=len(edges) + 1)
    assert counts.tolist() == naive.tolist()
    if ordered[0] != ordered[-1]:
        assert counts.all()
        assert len(edges) <= 9


def test_a_sample_is_sorted_part_of_the_values_and_the_seed_alone_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_module, "MAX_SAMPLE", 1_000)
    values = np.random.default_rng(3).normal(size=5_000)
    table = pa.table({"x": values})
    one, again, other = (make_reference(table, seed=seed).features["x"] for seed in (1, 1, 2))
    assert isinstance(one, NumericReference)
    assert isinstance(again, NumericReference)
    assert isinstance(other, NumericReference)
    assert len(one.sample) == 1_000
    assert (np.diff(one.sample) > 0).all()
    assert set(one.sample) <= set(values)
    assert np.array_equal(one.sample, again.sample)
    assert not np.array_equal(one.sample, other.sample)
    assert (one.count, one.std) == (5_000, pytest.approx(values.std(), rel=1e-12))
    # A tenth of the sample lies in each decile of all, give or take.
    assert np.abs(bin_counts(one.sample, one.edges) - 100).max() < 40


def test_categories_are_counted_and_the_rarest_of_many_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_module, "MAX_CATEGORIES", 2)
    table = pa.table({"plan": pa.chunked_array([["b", None, "a"], ["c", "a", "b", ""]])})
    found = make_reference(table, seed=1).features["plan"]
    assert isinstance(found, CategoricalReference)
    assert found.categories == ("a", "b")
    assert found.counts.tolist() == [2, 2]
    assert (found.count, found.missing_rate) == (6, 1 / 7)


def test_what_is_written_is_read_the_same() -> None:
    table = pa.table(
        {
            "spend": pa.array([0.1, None, 1e300, -0.0], pa.float64()),
            "empty": pa.array([None] * 4, pa.float64()),
            "active": pa.array([True, False, None, True]),
            "plan": pa.array(["é", None, "", "x"]),
            "nothing": pa.array([None] * 4, pa.string()),
        }
    )
    for prediction in (None, pa.array([0.25, 0.5, 0.75, 1.0]), pa.chunked_array([["yes", "no"]])):
        made = make_reference(table, seed=1, prediction=prediction)
        assert_equal(read_reference(write_reference(made)), made)


@pytest.mark.parametrize("cut", [0, 7, 500, -1, -20])
def test_a_file_cut_short_is_refused(cut: int) -> None:
    content = write_reference(make_reference(pa.table({"x": [1.0, 2.0]}), seed=1))
    with pytest.raises(UnreadableReferenceError):
        read_reference(content[:cut])


def test_another_arrow_file_is_refused() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"x": [1.0]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(UnreadableReferenceError, match="no file of reference statistics"):
        read_reference(bytes(sink.getvalue()))


def reference_file(rows: bytes = b"3", **changes: Any) -> bytes:
    """Return a file of one feature, as `write_reference` makes it but for some changes."""
    made = make_reference(pa.table({"x": [1.0, 2.0, 3.0]}), seed=1)
    good = pa.ipc.open_file(write_reference(made))
    row = {**good.read_all().to_pylist()[0], **changes}
    schema = good.schema.with_metadata({**good.schema.metadata, b"trellis.reference.rows": rows})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist([row], schema=schema))
    return bytes(sink.getvalue())


CATEGORIES = {"kind": "categorical", "categories": ["a", "b"], "counts": [2, 1]}


@pytest.mark.parametrize("changes", [{}, CATEGORIES])
def test_a_file_made_by_hand_is_read_if_it_is_sound(changes: dict[str, Any]) -> None:
    assert read_reference(reference_file(**changes)).features["x"].count == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": b"many"},
        {"kind": "other"},
        {"count": -1},
        {"count": 2},
        {"missing_rate": 1.5},
        {"sample": None},
        {"sample": [1.0, None, 3.0]},
        {"sample": [3.0, 2.0, 1.0]},
        {"sample": [1.0, 2.0, float("inf")]},
        {"edges": [2.0, 1.0]},
        {"edges": [float("nan")]},
        {"shares": [0.5]},
        {"std": None},
        {**CATEGORIES, "categories": None},
        {**CATEGORIES, "categories": ["a", None]},
        {**CATEGORIES, "categories": ["a", "a"]},
        {**CATEGORIES, "categories": ["a"]},
        {**CATEGORIES, "counts": [5, 1]},
        {**CATEGORIES, "counts": [-1, 1]},
    ],
    ids=repr,
)
def test_statistics_that_contradict_themselves_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableReferenceError):
        read_reference(reference_file(**changes))


def test_whatever_is_changed_in_it_a_file_is_read_or_refused() -> None:
    """In a process of its own: what Arrow does not notice may end it."""
    script = """
import random
import pyarrow as pa
from engine.tasks.reference import make_reference
from engine.tasks.reference_file import UnreadableReferenceError, read_reference, write_reference

table = pa.table({"x": pa.array([1.0, 2.0, None] * 50), "s": pa.array(["a", "b", None] * 50)})
good = write_reference(make_reference(table, seed=1, prediction=pa.array([0.1, 0.2])))
generator = random.Random(1)
refused = 0
for _ in range(2_000):
    content = bytearray(good)
    for _ in range(generator.randint(1, 4)):
        content[generator.randrange(len(content))] = generator.randrange(256)
    try:
        read_reference(bytes(content))
    except UnreadableReferenceError:
        refused += 1
print(refused)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    assert int(ran.stdout) > 100


def test_no_rows_and_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        make_reference(pa.table({"x": pa.array([], pa.float64())}), seed=1)
    with pytest.raises(ValueError, match="timestamp"):
        make_reference(pa.table({"x": pa.array([0], pa.timestamp("us"))}), seed=1)
