"""Single values: of a declared type, or a problem. What stands for what is not guessed.

A number in quotes is a text and 1.0 is no int64, in JSON as in Parquet. In CSV everything is a
text, so there the column's type decides how it is read.
"""

import math
import re
from collections.abc import Callable, Mapping

from engine.intake.rejection import json_type, show
from engine.tasks.parsing.limits import MAX_STRING_CHARACTERS
from engine.tasks.parsing.refusals import Problem, Reason

Value = int | float | str | bool

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

_INTEGER = re.compile(r"[+-]?[0-9]+")
# Digits match in one way only: were there two, a million of them before a letter would take days.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}
BLANKS = " \t"
_MAX_DIGITS = 400
"""More than any double has before its point. Python refuses to read very long numbers."""


def _wrong_type(found: object, wanted: str) -> Problem:
    return Problem(
        Reason.VALUE_TYPE, f"the value is {json_type(found)}; give {wanted}", show(found)
    )


def read_int64(found: object) -> int | Problem:
    """Return the decoded JSON value if it is an integer of 64 bits."""
    if type(found) is not int:
        return _wrong_type(found, "an integer, without quotes and decimals")
    if INT64_MIN <= found <= INT64_MAX:
        return found
    return Problem(Reason.VALUE_RANGE, "the integer is not within 64 bits with a sign", show(found))


def read_double(found: object) -> float | Problem:
    """Return the decoded JSON value if it is a number that a double can hold."""
    if type(found) is not float and type(found) is not int:
        return _wrong_type(found, "a number, without quotes")
    try:
        number = float(found)
    except OverflowError:
        number = math.inf
    if math.isnan(number):
        detail = "NaN is not a number; leave the value out"
        return Problem(Reason.NOT_A_NUMBER, detail, show(found))
    if math.isinf(number):
        return Problem(Reason.VALUE_RANGE, "the number is beyond a double's range", show(found))
    return number


def read_string(found: object) -> str | Problem:
    """Return the decoded JSON value if it is a text of bounded length without NUL."""
    if not isinstance(found, str):
        return _wrong_type(found, "a string")
    if len(found) > MAX_STRING_CHARACTERS:
        detail = f"the text has {len(found)} characters, allowed are {MAX_STRING_CHARACTERS}"
        return Problem(Reason.STRING_TOO_LONG, detail, show(found))
    if "\x00" in found:
        return Problem(Reason.STRING_NUL, "the text holds a NUL character", show(found))
    return found


def read_bool(found: object) -> bool | Problem:
    """Return the decoded JSON value if it is true or false."""
    return found if isinstance(found, bool) else _wrong_type(found, "true or false, without quotes")


def read_int64_text(text: str) -> int | Problem:
    """Return the integer of 64 bits that a text spells."""
    digits = text.strip(BLANKS)
    if not _INTEGER.fullmatch(digits):
        detail = "the value is not an integer; give digits only, no decimals or separators"
        return Problem(Reason.VALUE_TYPE, detail, show(text))
    if len(digits) > _MAX_DIGITS:
        detail = "the integer is not within 64 bits with a sign"
        return Problem(Reason.VALUE_RANGE, detail, show(text))
    return read_int64(int(digits))


def read_double_text(text: str) -> float | Problem:
    """Return the double that a text spells."""
    number = text.strip(BLANKS)
    if _NUMBER.fullmatch(number):
        value = read_double(float(number))
        return (
            value if isinstance(value, float) else Problem(value.reason, value.detail, show(text))
        )
    if number.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        detail = "the value is not a number; leave it empty"
        return Problem(Reason.NOT_A_NUMBER, detail, show(text))
    detail = "the value is not a number such as -12.5 or 1e6; thousands have no separator"
    return Problem(Reason.VALUE_TYPE, detail, show(text))


def read_bool_text(text: str) -> bool | Problem:
    """Return what a text spells: true or false, in any case."""
    value = _BOOLEANS.get(text.strip(BLANKS).lower())
    if value is None:
        return Problem(Reason.VALUE_TYPE, "the value is neither true nor false", show(text))
    return value


READ_JSON: Mapping[str, Callable[[object], Value | Problem]] = {
    "int64": read_int64,
    "double": read_double,
    "string": read_string,
    "bool": read_bool,
}
"""How a decoded JSON value becomes one of a declared type."""

READ_TEXT: Mapping[str, Callable[[str], Value | Problem]] = {
    "int64": read_int64_text,
    "double": read_double_text,
    "string": read_string,
    "bool": read_bool_text,
}
"""How a text becomes a value of a declared type."""
