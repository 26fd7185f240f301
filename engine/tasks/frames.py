"""From Arrow columns to what estimators take: the one place, for training, scoring and drift.

Numbers and yes or no become float64 with NaN for what is missing, text becomes objects with None.
What is infinite is missing too: no estimator takes it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TEXT = "string"
TYPES = ("int64", "double", "bool", TEXT)
"""Types of features, as in `features.yaml`."""

_KINDS: Final = {"int64": "number", "double": "number", "bool": "yes or no", TEXT: "text"}


class RowsMismatchError(ValueError):
    """The rows lack a column, or it cannot be read as its type."""


def types_of(schema: pa.Schema, features: Sequence[str]) -> dict[str, str]:
    """Return the type of each feature by the columns of a table.

    A column in which everything is missing may come without a type; it counts as a number.

    Raises:
      RowsMismatchError: a column is missing, or of a type that no feature has.
    """
    types = {}
    for name in features:
        index = schema.get_field_index(name)
        if index < 0:
            raise RowsMismatchError(f"the rows have no column {name!r}")
        types[name] = _type_name(name, schema.field(index).type)
    return types


def to_frame(
    table: pa.Table | pa.RecordBatch, features: Sequence[str], types: Mapping[str, str]
) -> pd.DataFrame:
    """Return the features as a data frame, a column each, in their order.

    Args:
      table: may have other columns, too.
      types: of each feature, one of `TYPES`.
    Raises:
      RowsMismatchError: a column is missing or cannot be read as its type.
    """
    columns = {}
    for name in features:
        values = to_column(table, name, types[name])
        # Without its type said, pandas would make a string array of objects.
        columns[name] = pd.Series(values, dtype=values.dtype, copy=False)
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows), copy=False)


def to_block(
    table: pa.Table | pa.RecordBatch, features: Sequence[str], types: Mapping[str, str]
) -> NDArray[Any]:
    """Return features of one kind, all text or none, as an array of rows by features.

    The values are those of `to_frame`, in a tenth of its time for a few rows.

    Raises:
      RowsMismatchError: a column is missing or cannot be read as its type.
    """
    texts = bool(features) and types[features[0]] == TEXT
    block = np.empty((table.num_rows, len(features)), dtype=object if texts else np.float64)
    for position, name in enumerate(features):
        block[:, position] = to_column(table, name, types[name])
    return block


def to_column(table: pa.Table | pa.RecordBatch, name: str, type_: str) -> NDArray[Any]:
    """Return one feature: float64 with NaN, or for text objects with None.

    Raises:
      RowsMismatchError: the column is missing or cannot be read as its type.
    """
    index = table.schema.get_field_index(name)
    if index < 0:
        raise RowsMismatchError(f"the rows have no column {name!r}")
    column = table.column(index)
    wanted = pa.string() if type_ == TEXT else pa.float64()
    try:
        if _kind_of(column.type) not in (None, _KINDS[type_]):
            raise RowsMismatchError(f"column {name!r} is {column.type}, not {type_}")
        if column.type != wanted:
            column = pc.cast(column, wanted, safe=False)
    except pa.ArrowInvalid as error:
        raise RowsMismatchError(f"column {name!r} is no {type_}: {error}") from None
    except pa.ArrowNotImplementedError:
        raise RowsMismatchError(f"column {name!r} is {column.type}, not {type_}") from None
    # A chunked array has no such argument, and always may copy.
    values = (
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    )
    if type_ != TEXT and np.isinf(values).any():
        values = np.where(np.isinf(values), np.nan, values)
    return np.asarray(values)


def _type_name(name: str, type_: pa.DataType) -> str:
    if _is_text(type_):
        return TEXT
    if pa.types.is_boolean(type_):
        return "bool"
    if pa.types.is_integer(type_):
        return "int64"
    if pa.types.is_floating(type_) or pa.types.is_null(type_):
        return "double"
    raise RowsMismatchError(f"column {name!r} is {type_}, which no feature is")


def _kind_of(type_: pa.DataType) -> str | None:
    """Return which types of features a column may stand for; None: for any, since it is empty.

    Arrow would turn numbers into texts, and anything into yes or no. What does so here is a feature
    that was defined anew, and no model has learned what it says now.
    """
    if pa.types.is_null(type_):
        return None
    if _is_text(type_):
        return _KINDS[TEXT]
    return _KINDS["bool"] if pa.types.is_boolean(type_) else _KINDS["double"]


def _is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return _is_text(type_.value_type)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))
