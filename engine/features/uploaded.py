"""Uploaded rows: from a canonical JSON object to values of the declared types.

`training` holds the same rules for DuckDB. What is not of its type is no value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Self

import attrs
import msgspec

from engine.features.definitions import UploadFeature
from engine.features.values import Value

UploadedRow = tuple[Value | None, ...]

_INT64_LIMIT = 2**63


def _int64(value: object) -> Value | None:
    if type(value) is int and -_INT64_LIMIT <= value < _INT64_LIMIT:
        return value
    return None


def _double(value: object) -> Value | None:
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:
        return None
    return number + 0.0 if math.isfinite(number) else None


def _string(value: object) -> Value | None:
    return value if isinstance(value, str) else None


def _bool(value: object) -> Value | None:
    return value if isinstance(value, bool) else None


_CONVERT: Mapping[str, Callable[[object], Value | None]] = {
    "int64": _int64,
    "double": _double,
    "string": _string,
    "bool": _bool,
}


@attrs.frozen
class UploadedColumns:
    """The columns of a dataset that features read, in a fixed order."""

    dataset: str
    columns: tuple[tuple[str, str], ...]
    """Name and type of each."""

    @classmethod
    def of(cls, features: Iterable[UploadFeature]) -> tuple[Self, ...]:
        """Return the columns that the features read, by dataset."""
        columns: dict[str, dict[str, str]] = {}
        for feature in features:
            columns.setdefault(feature.dataset, {})[feature.column] = feature.type
        return tuple(cls(dataset, tuple(types.items())) for dataset, types in columns.items())

    def position(self, feature: UploadFeature) -> int:
        """Return where a feature's value stands in a decoded row."""
        return self.columns.index((feature.column, feature.type))

    def decode(self, text: str | None) -> UploadedRow:
        """Return the columns' values; None for those absent, null or of another type."""
        row = _decode_object(text)
        return tuple(_CONVERT[type_](row.get(name)) for name, type_ in self.columns)


def _decode_object(text: str | None) -> Mapping[str, object]:
    try:
        row = None if text is None else msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return {}
    return row if isinstance(row, dict) else {}
