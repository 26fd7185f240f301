"""Times of the API as people write and read them."""

import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from engine.errors import InvalidArgumentError


def to_timestamp(text: str, option: str) -> Timestamp:
    """Return the moment an ISO 8601 text names; without an offset it is UTC.

    Raises:
      InvalidArgumentError: the text is no time, or one the API cannot carry.
    """
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        timestamp = Timestamp()
        timestamp.FromDatetime(moment)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError(
            option, f"{text!r} is no ISO 8601 time such as 2025-01-31T08:30:00+02:00"
        ) from error
    return timestamp


def show_time(timestamp: Timestamp) -> str:
    """Return a moment as ISO 8601 text in UTC, to the microsecond."""
    moment = timestamp.ToDatetime()
    return f"{moment.isoformat(timespec='microseconds')}Z"
