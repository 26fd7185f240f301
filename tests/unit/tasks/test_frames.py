"""One way from Arrow to what estimators take."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tasks.frames import RowsMismatchError, to_block, to_column, to_frame, types_of

TYPES = {"n": "int64", "x": "double", "b": "bool", "s": "string"}
ROW = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(),
        "b": st.none() | st.booleans(),
        "s": st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
    }
)
SCHEMA = pa.schema([("n", pa.int64()), ("x", pa.float64()), ("b", pa.bool_()), ("s", pa.string())])


@given(st.lists(ROW, max_size=20), st.integers(0, 20))
def test_every_value_is_its_float_or_text_or_missing(rows: list[dict], cut: int) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    # However the rows came in batches.
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    frame = to_frame(table, ["s", "n", "x", "b"], TYPES)
    assert list(frame.columns) == ["s", "n", "x", "b"]
    assert [str(dtype) for dtype in frame.dtypes] == ["object", "float64", "float64", "float64"]
    assert frame["s"].tolist() == [row["s"] for row in rows]
    for name in ("n", "x", "b"):
        for found, row in zip(frame[name].tolist(), rows, strict=True):
            value = row[name]
            if value is None or not math.isfinite(value):
                assert math.isnan(found)
            else:
                assert found == float(value)


@given(st.lists(ROW, max_size=20))
def test_blocks_are_the_frame_by_kind(rows: list[dict]) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    numbers, texts = ["x", "b", "n"], ["s"]
    expected = to_frame(table, [*numbers, *texts], TYPES)
    np.testing.assert_array_equal(to_block(table, numbers, TYPES), expected[numbers].to_numpy())
    assert to_block(table, texts, TYPES).tolist() == expected[texts].to_numpy().tolist()


def test_a_record_batch_reads_as_the_table_of_it() -> None:
    table = pa.table({"x": pa.array([1.5, None]), "s": pa.array([None, "a"])})
    [batch] = table.to_batches()
    pd.testing.assert_frame_equal(
        to_frame(table, ["x", "s"], TYPES), to_frame(batch, ["x", "s"], TYPES)
    )


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        (pa.array([1, 2], pa.int32()), "double"),
        (pa.array([1.0, 2.0], pa.float32()), "int64"),
        (pa.nulls(2), "double"),
        (pa.nulls(2), "string"),
        (pa.array(["a", "b"]).dictionary_encode(), "string"),
        (pa.array(["a", "b"], pa.large_string()), "string"),
    ],
)
def test_what_can_be_read_as_its_type_is(column: pa.Array, type_: str) -> None:
    found = to_column(pa.table({"c": column}), "c", type_)
    assert found.dtype == (object if type_ == "string" else np.float64)


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        (pa.array(["1", "2"]), "double"),
        (pa.array(["1", "2"]).dictionary_encode(), "int64"),
        (pa.array([[1.0], [2.0]]), "double"),
        (pa.array([[1.0], [2.0]]), "string"),
        (pa.array([1, 2]), "string"),
        (pa.array([1.5]), "string"),
        (pa.array([True]), "string"),
        (pa.array([True]), "double"),
        (pa.array([1.5]), "bool"),
        (pa.array(["true"]), "bool"),
    ],
)
def test_a_column_of_another_type_is_refused_by_name(column: pa.Array, type_: str) -> None:
    with pytest.raises(RowsMismatchError, match="'c'"):
        to_column(pa.table({"c": column}), "c", type_)


def test_a_column_that_is_not_there_is_refused_by_name() -> None:
    table = pa.table({"x": [1.0]})
    with pytest.raises(RowsMismatchError, match="'y'"):
        to_frame(table, ["x", "y"], {"x": "double", "y": "double"})
    with pytest.raises(RowsMismatchError, match="'y'"):
        types_of(table.schema, ["y"])


def test_types_follow_the_columns() -> None:
    schema = SCHEMA.append(pa.field("none", pa.null()))
    assert types_of(schema, ["s", "b", "n", "x", "none"]) == {
        "s": "string",
        "b": "bool",
        "n": "int64",
        "x": "double",
        "none": "double",
    }
    with pytest.raises(RowsMismatchError, match="timestamp"):
        types_of(pa.schema([("t", pa.timestamp("us"))]), ["t"])
