"""What is wrong with bytes that are not a JSON object. Slow, and only for those."""

import json
import math
from typing import NoReturn

from engine.intake.rejection import Reason, RejectedError, show

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


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


def _read_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _RangeError(digits)
    return number
