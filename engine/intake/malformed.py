"""What is wrong with bytes that are not a JSON object. Slow, and only for those."""

import json
import math
from typing import Any, Final, NoReturn

from engine.intake.rejection import Reason, RejectedError, show

MAX_DEPTH: Final = 64
"""Levels of arrays and objects in an event's properties, or in a row's undeclared columns."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class _ConstantError(Exception):
    """NaN or an infinity stands where JSON allows a number."""


class _RangeError(Exception):
    """A number is beyond what a double holds."""


def explain_malformed(payload: bytes) -> RejectedError:
    """Return why a payload that the fast decoder refused is not a JSON object.

    Args:
      payload: not longer than the limit of a message, so that this stays bounded.
    """
    if not payload.strip():
        return RejectedError(Reason.EMPTY, f"the message holds no JSON: {show(payload)}")
    if payload.startswith(_BYTE_ORDER_MARK):
        return RejectedError(
            Reason.BYTE_ORDER_MARK, "the message starts with a byte order mark; send plain UTF-8"
        )
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        return RejectedError(
            Reason.INVALID_UTF8,
            f"byte {error.start} ({payload[error.start]:#04x}) is not UTF-8: {error.reason}",
        )
    try:
        decoded = json.loads(text, parse_constant=_refuse_constant, parse_float=_read_float)
    except _ConstantError as error:
        return RejectedError(Reason.NOT_A_NUMBER, f"{error} is not JSON; leave the field out")
    except RecursionError:
        return too_deep()
    except json.JSONDecodeError as error:
        return RejectedError(Reason.INVALID_JSON, f"not JSON at character {error.pos}: {error.msg}")
    except (_RangeError, ValueError):
        # ValueError: Python converts no integer of more than a few thousand digits.
        return RejectedError(Reason.NUMBER_RANGE, "a number is beyond the range of a double")
    if not isinstance(decoded, dict):
        return RejectedError(
            Reason.NOT_AN_OBJECT, f"the message is {show(decoded)}; an event is a JSON object"
        )
    # Valid to the standard library, yet refused by a decoder that wants every string to be text.
    return RejectedError(
        Reason.INVALID_UNICODE, "half of a surrogate pair stands alone; it is no character"
    )


def too_deep() -> RejectedError:
    """Return the rejection of a message whose arrays and objects are nested beyond the limit."""
    return RejectedError(Reason.TOO_DEEP, "arrays and objects are nested too deeply")


def is_too_deep(fields: dict[str, Any], encoded: bytes) -> bool:
    """Return whether an object's arrays and objects are nested beyond the limit, itself counted.

    Args:
      encoded: its JSON, or that of more. No more levels than opening brackets: counting those
        spares nearly every object the walk.
    """
    if encoded.count(b"{") + encoded.count(b"[") <= MAX_DEPTH:
        return False
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


def _read_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _RangeError(digits)
    return number
