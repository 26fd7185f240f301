"""What is in the column of a feature: its values, and how many rows have none. Pure."""

import enum
from typing import Final

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Kind(enum.StrEnum):
    """How the values of a feature are compared."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


_KINDS: Final = {
    "int64": Kind.NUMERIC,
    "double": Kind.NUMERIC,
    "bool": Kind.NUMERIC,
    "string": Kind.CATEGORICAL,
}


@attrs.frozen(eq=False)
class NumericColumn:
    """Finite values in the order of their rows. NaN and infinities count as missing: no model
    takes them for numbers."""

    values: FloatArray
    missing: int


@attrs.frozen(eq=False)
class CategoricalColumn:
    """Categories, the most frequent first and then by name, and the rows of each."""

    categories: tuple[str, ...]
    counts: IntArray
    missing: int


def kind_of(data_type: pa.DataType) -> Kind:
    """Return how values of a feature's Arrow type are compared; booleans as 0 and 1.

    Raises:
      ValueError: no feature has this type.
    """
    kind = _KINDS.get(str(data_type))
    if kind is None:
        raise ValueError(f"{data_type} is no type of a feature; those are {', '.join(_KINDS)}")
    return kind


def numeric_column(column: pa.ChunkedArray) -> NumericColumn:
    """Return the values of an int64, double or bool column as float64."""
    chunks = [
        # Integers from 2**53 on are rounded, as they are for the model.
        pc.cast(pc.drop_null(chunk), pa.float64(), safe=False).to_numpy()
        for chunk in column.chunks
    ]
    values = np.concatenate(chunks) if len(chunks) != 1 else chunks[0]
    finite = np.isfinite(values)
    if not finite.all():
        values = values[finite]
    return NumericColumn(values, len(column) - len(values))


def categorical_column(column: pa.ChunkedArray) -> CategoricalColumn:
    """Return the categories of a string column, and how often each occurs."""
    counted = pc.value_counts(pc.drop_null(column))
    names = counted.field("values").to_pylist()
    counts = counted.field("counts").to_numpy()
    order = sorted(range(len(names)), key=lambda place: (-counts[place], names[place]))
    return CategoricalColumn(
        tuple(names[place] for place in order),
        counts[order].astype(np.int64),
        column.null_count,
    )
