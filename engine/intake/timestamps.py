"""The `timestamp` of a message as microseconds since 1970-01-01 UTC."""

import datetime
import re

from engine.intake.rejection import Reason, RejectedError, json_type, show

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_DAY = datetime.timedelta(days=1)

_FIRST_MILLISECONDS = 100_000_000_000
"""Numbers from here on count milliseconds: as seconds they would lie past the year 5138."""
_FIRST_MICROSECONDS = _FIRST_MILLISECONDS * 1000
_FIRST_NANOSECONDS = _FIRST_MICROSECONDS * 1000

_DATE = r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4}-W[0-9]{2}-[1-7]|[0-9]{4}W[0-9]{2}[1-7])"
_CLOCK = r"(?::[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?|[0-9]{2}(?:[0-9]{2}(?:[.,][0-9]+)?)?)"
_OFFSET = r"(?:[Zz]|[+-][0-9]{2}(?::[0-9]{2}(?::[0-9]{2})?|[0-9]{2}(?:[0-9]{2})?)?)"
_ISO = re.compile(rf"{_DATE}(?:[Tt ]([0-9]{{2}}){_CLOCK}{_OFFSET}?)?")
"""The forms of ISO 8601 that are taken; the group is the hour. `fromisoformat`, left to itself,
takes more, reads some of it wrongly, and differs between versions of Python."""
_FRACTION_OF_MORE = re.compile(rf"{_DATE}[Tt ][0-9]{{2}}(?::?[0-9]{{2}})?[.,][0-9]+{_OFFSET}?")
_END_OF_DAY = re.compile(rf"24(?::00(?::00(?:[.,]0+)?)?|00(?:00(?:[.,]0+)?)?){_OFFSET}?")

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
    matched = _ISO.fullmatch(text)
    if matched is None:
        raise _refused_format(text)
    try:
        if matched[1] == "24":
            moment = _parse_end_of_day(text, matched.start(1))
        else:
            moment = datetime.datetime.fromisoformat(text.upper())
    except (ValueError, OverflowError) as error:
        # The error may repeat the text, whose fraction can have any number of digits.
        raise RejectedError(
            Reason.TIMESTAMP_FORMAT, f"timestamp {show(text)} is no valid time ({error!s:.120})"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _parse_end_of_day(text: str, hour_at: int) -> datetime.datetime:
    """Parse hour 24, which is the start of the next day and nothing past it."""
    if not _END_OF_DAY.fullmatch(text, hour_at):
        raise ValueError("hour 24 is only allowed as 24:00:00")
    start_of_day = f"{text[:hour_at]}00{text[hour_at + 2 :]}"
    return datetime.datetime.fromisoformat(start_of_day.upper()) + _DAY


def _refused_format(text: str) -> RejectedError:
    if _FRACTION_OF_MORE.fullmatch(text):
        return RejectedError(
            Reason.TIMESTAMP_FORMAT,
            f"timestamp {show(text)} has a fraction of an hour or a minute; only seconds may have "
            f"one; give {_ALLOWED}",
        )
    return RejectedError(
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
