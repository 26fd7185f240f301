"""Uploaded values: from canonical JSON text to a value of the declared type.

`history.sql` holds the same rules for DuckDB. A text that is not of the type is no value.
"""

import math
from collections.abc import Callable, Mapping

import msgspec

from engine.features.values import Value

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


def decode_uploaded(text: str | None, value_type: str) -> Value | None:
    """Return the value, or None when the text is null or not of the type."""
    if text is None:
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return _CONVERT[value_type](value)
