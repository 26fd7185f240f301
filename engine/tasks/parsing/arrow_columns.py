"""Columns of a Parquet file: which types are read as which, and their values."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.rejection import show
from engine.tasks.parsing.columns import Column
from engine.tasks.parsing.limits import MAX_STRING_CHARACTERS
from engine.tasks.parsing.refusals import Problem, Reason, Refusal, RefusedFileError, show_bytes
from engine.tasks.parsing.times import Microseconds, TimeRules, Times, check_times, read_times
from engine.tasks.parsing.values import READ_JSON

_MAX_UTF8_BYTES = 4
"""Of one character."""

_PER_UNIT_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
_PER_DAY_US = 86_400_000_000
_INT64_MAX = 2**63 - 1


def value_type(type_: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, whether or not they are stored as a dictionary."""
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def is_text(type_: pa.DataType) -> bool:
    """Return whether a column's values are texts."""
    stored = value_type(type_)
    return bool(
        pa.types.is_string(stored)
        or pa.types.is_large_string(stored)
        or pa.types.is_string_view(stored)
    )


def check_type(name: str, declared: str, type_: pa.DataType) -> None:
    """Check that a column can hold what is declared.

    Args:
      declared: one of the types of `features.yaml`, or "time".
    Raises:
      RefusedFileError: it cannot, in any row.
    """
    stored = value_type(type_)
    if pa.types.is_null(stored) or any(fits(stored) for fits in _FITTING[declared]):
        return
    raise RefusedFileError(
        Refusal.UNSUPPORTED_TYPE,
        f"the column {name} has the type {show(str(stored))[1:-1]}, which is not read as "
        f"{declared}; {_ADVICE[declared]}",
    )


_FITTING: Mapping[str, Sequence[Callable[[pa.DataType], bool]]] = {
    "int64": (pa.types.is_integer,),
    "double": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "string": (is_text,),
    "bool": (pa.types.is_boolean,),
    "time": (
        pa.types.is_timestamp,
        pa.types.is_date,
        is_text,
        pa.types.is_integer,
        pa.types.is_floating,
    ),
}
_ADVICE = {
    "int64": "write an integer type",
    "double": "write a number type",
    "string": "write a string type",
    "bool": "write a boolean type",
    "time": "write a timestamp",
}


def read_column(array: pa.Array, declared: str) -> Column:
    """Return the values of a column whose type fits."""
    stored = value_type(array.type)
    if pa.types.is_null(stored):
        return Column([None] * len(array))
    if declared == "string":
        return _read_texts(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if declared == "double" and not pa.types.is_decimal(stored):
        array = array.cast(pa.float64(), safe=False)
    is_sound = (
        declared == "bool"
        or (declared == "int64" and not pa.types.is_uint64(stored))
        or (pa.types.is_float64(array.type) and pc.all(pc.is_finite(array)).as_py() is not False)
    )
    values = (
        array.to_pylist() if array.null_count else array.to_numpy(zero_copy_only=False).tolist()
    )
    if is_sound:
        return Column(values)
    if pa.types.is_decimal(stored):
        values = [None if value is None else float(value) for value in values]
    read = READ_JSON[declared]
    return Column.of([None if value is None else read(value) for value in values])


def read_time_column(array: pa.Array, rules: TimeRules) -> Times:
    """Return the times of a column whose type fits. Without a zone they are UTC."""
    stored = value_type(array.type)
    if is_text(array.type):
        texts = _read_texts(array)
        times = read_times(texts.values, rules)
        return Times(times.microseconds, {**times.problems, **texts.problems})
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_timestamp(stored) or pa.types.is_date(stored):
        missing = pc.is_null(array).to_numpy(zero_copy_only=False)
        return check_times(_to_microseconds(array, stored), missing, rules)
    return read_times(array.to_pylist(), rules)


def text_bytes(array: pa.Array) -> Microseconds:
    """Return how many bytes each text of a column takes; 0 where there is none."""
    if not pa.types.is_dictionary(array.type):
        return np.zeros(len(array), np.int64)
    lengths = pc.binary_length(array.dictionary).take(array.indices).cast(pa.int64())
    return lengths.fill_null(0).to_numpy()  # type: ignore[no-any-return]


def _read_texts(array: pa.Array) -> Column:
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    # A dictionary can be much larger than what a batch needs of it.
    used = pc.unique(array.indices).drop_null()
    texts = dict(zip(used.to_pylist(), _to_texts(array.dictionary.take(used)), strict=True))
    values = [texts.get(index) for index in array.indices.to_pylist()]
    return Column.of(values)


def _to_texts(array: pa.Array) -> Sequence[str | Problem | None]:
    if (pc.max(pc.binary_length(array)).as_py() or 0) <= MAX_STRING_CHARACTERS:
        with contextlib.suppress(UnicodeDecodeError):
            return array.to_pylist()  # type: ignore[no-any-return]
    return [_read_text(scalar) for scalar in array]


def _read_text(scalar: Any) -> str | Problem | None:
    if not scalar.is_valid:
        return None
    raw = scalar.as_buffer()
    if raw.size > MAX_STRING_CHARACTERS * _MAX_UTF8_BYTES:
        detail = f"the text has {raw.size} bytes, allowed are {MAX_STRING_CHARACTERS} characters"
        return Problem(Reason.STRING_TOO_LONG, detail, show_bytes(raw.slice(0, 1024).to_pybytes()))
    try:
        text = raw.to_pybytes().decode()
    except UnicodeDecodeError as error:
        detail = f"the text is not UTF-8 at its byte {error.start}"
        return Problem(Reason.INVALID_UTF8, detail, show_bytes(raw.to_pybytes()))
    return READ_JSON["string"](text)  # type: ignore[return-value]


def _to_microseconds(array: pa.Array, stored: pa.DataType) -> Microseconds:
    """Return times as microseconds; digits past them are dropped, as those of a text are."""
    if pa.types.is_date32(stored):
        days = array.cast(pa.int32()).cast(pa.int64())
        return _scale(days, _PER_DAY_US)
    if pa.types.is_date64(stored):
        return _scale(array.cast(pa.int64()), _PER_UNIT_US["ms"])
    numbers = array.cast(pa.int64())
    if stored.unit == "ns":
        return np.floor_divide(_to_numpy(numbers), 1_000)
    return _scale(numbers, _PER_UNIT_US[stored.unit])


def _scale(numbers: pa.Array, factor: int) -> Microseconds:
    """Return multiples; what would not fit 64 bits is cut there, far outside any bounds."""
    limit = _INT64_MAX // factor
    return np.clip(_to_numpy(numbers), -limit, limit) * factor


def _to_numpy(numbers: pa.Array) -> Microseconds:
    return numbers.fill_null(0).to_numpy()  # type: ignore[no-any-return]
