"""The `timestamp` of a message as microseconds since 1970-01-01 UTC."""

import datetime
import re

from engine.intake.rejection import Reason, RejectedError, json_type, show

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)

_from_iso = datetime.datetime.fromisoformat

_FIRST_MILLISECONDS = 100_000_000_000
"""Numbers from here on count milliseconds: as seconds they would lie past the year 5138."""
_FIRST_MICROSECONDS = _FIRST_MILLISECONDS * 1000
_FIRST_NANOSECONDS = _FIRST_MICROSECONDS * 1000

_DATE_AND_TIME = re.compile(r"[0-9W-]+(?:[Tt ][0-9:.,]+(?:[Zz]|[+-][0-9:.]+)?)?", re.ASCII)
"""What may stand in an ISO 8601 time; `fromisoformat` alone takes any separator after the date."""

_ALLOWED = (
    "an ISO 8601 time such as 2025-01-31T08:30:00+02:00, or seconds or milliseconds since 1970"
)


def parse_timestamp(found: object) -> int:
    """Return the time in microseconds since 1970-01-01 UTC.

    Args:
      found: the decoded JSON value. Text is ISO 8601 with any offset, extended or basic format,
        date alone (midnight) or with a time; without an offset it is UTC; digits past the
        microsecond are dropped. A number below 1e11 counts seconds, from there on milliseconds.
    Raises:
      RejectedError: neither of these.
    """
    kind = type(found)
    if kind is str:
        return _parse_text(found)  # type: ignore[arg-type]
    if kind is int or kind is float:
        return _parse_epoch(found)  # type: ignore[arg-type]
    raise RejectedError(
        Reason.TIMESTAMP_TYPE, f"timestamp is {json_type(found)} ({show(found)}); give {_ALLOWED}"
    )


def _parse_text(text: str) -> int:
    # A T can only be the separator, so with one in it `fromisoformat` alone is strict enough.
    try:
        moment = _from_iso(text) if "T" in text else _parse_unusual(text)
    except ValueError:
        moment = _parse_unusual(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _parse_unusual(text: str) -> datetime.datetime:
    """Parse the forms of ISO 8601 that need a closer look: basic format, dates, lower case."""
    try:
        if _DATE_AND_TIME.fullmatch(text):
            return _from_iso(text.upper())
    except ValueError as error:
        raise RejectedError(
            Reason.TIMESTAMP_FORMAT, f"timestamp {show(text)} is no valid time ({error})"
        ) from None
    raise RejectedError(
        Reason.TIMESTAMP_FORMAT, f"timestamp {show(text)} is not a known format; give {_ALLOWED}"
    )


def _parse_epoch(number: float) -> int:
    size = abs(number)
    if size < _FIRST_MILLISECONDS:
        return round(number * 1_000_000)
    if size < _FIRST_MICROSECONDS:
        return round(number * 1_000)
    unit = "microseconds" if size < _FIRST_NANOSECONDS else "nanoseconds"
    raise RejectedError(
        Reason.TIMESTAMP_UNIT,
        f"timestamp {show(number)} could only count {unit}; give seconds or milliseconds",
    )
