"""Why a message could not become an event."""

import enum

import attrs


class Reason(enum.StrEnum):
    """Stable codes: they label a metric, stand in `dead_letters.reason` and in a header of the
    dead-letter topic. Add codes, never change one.
    """

    # The message as a whole
    UNREADABLE_BATCH = "unreadable_batch"
    """Of messages that came together and cannot be unpacked; the payload is the whole batch."""
    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    BYTE_ORDER_MARK = "byte_order_mark"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_UNICODE = "invalid_unicode"
    INVALID_JSON = "invalid_json"
    NOT_A_NUMBER = "not_a_number"
    NUMBER_RANGE = "number_range"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    # Its fields
    USER_ID_MISSING = "user_id_missing"
    USER_ID_TYPE = "user_id_type"
    USER_ID_RANGE = "user_id_range"
    ACTION_MISSING = "action_missing"
    ACTION_TYPE = "action_type"
    ACTION_LENGTH = "action_length"
    ACTION_CHARACTERS = "action_characters"
    TIMESTAMP_MISSING = "timestamp_missing"
    TIMESTAMP_TYPE = "timestamp_type"
    TIMESTAMP_FORMAT = "timestamp_format"
    TIMESTAMP_UNIT = "timestamp_unit"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    VALUE_TYPE = "value_type"
    VALUE_RANGE = "value_range"
    PROPERTIES_TOO_LARGE = "properties_too_large"


class RejectedError(Exception):
    """A message breaks a rule; `detail` names the field, what was found and what is allowed.

    Raised and caught within validation only: a bad message is data, not a failure of the intake.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@attrs.frozen
class Rejected:
    """A message that could not become an event, with its bytes as they came."""

    offset: int
    payload: bytes | None
    reason: Reason
    detail: str


_SHOWN_CHARACTERS = 60
"""Enough of a value to recognise it in a log line."""


def show(found: object) -> str:
    """Return a value as one short printable line, whatever it holds.

    The result is ASCII, so that no control character or odd script reaches a terminal or a log.
    """
    # Cut before the conversion too, so that a megabyte of text is not escaped for its first line.
    if isinstance(found, str | bytes):
        found = found[: _SHOWN_CHARACTERS + 1]
    text = json_type(found) if isinstance(found, dict | list) else ascii(found)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def json_type(found: object) -> str:
    """Return what JSON calls a decoded value's type, with its article."""
    match found:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
