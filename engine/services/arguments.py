"""Reads requests' fields: each reader returns what was meant or raises naming the field."""

from google.protobuf.timestamp_pb2 import Timestamp

from engine.errors import InvalidArgumentError

_MICROSECONDS = 1_000_000
_NANOS_MAX = 999_999_999
_SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second a Timestamp may hold


def read_time_us(field: str, timestamp: Timestamp) -> int:
    """Return a timestamp as microseconds since 1970, UTC; what is finer is cut.

    Raises:
      InvalidArgumentError: it is malformed, or before 1970.
    """
    if not 0 <= timestamp.nanos <= _NANOS_MAX or timestamp.seconds > _SECONDS_MAX:
        raise InvalidArgumentError(
            field,
            f"seconds {timestamp.seconds}, nanos {timestamp.nanos} is no time: nanos are 0 to "
            f"{_NANOS_MAX}, seconds at most {_SECONDS_MAX}",
        )
    if timestamp.seconds < 0:
        raise InvalidArgumentError(field, "is before 1970-01-01T00:00:00Z, the first time there is")
    return timestamp.seconds * _MICROSECONDS + timestamp.nanos // 1_000


def read_page_size(page_size: int, *, default: int, largest: int) -> int:
    """Return how many items a page may have; 0 means the default.

    Raises:
      InvalidArgumentError: it is negative or too large.
    """
    if not 0 <= page_size <= largest:
        raise InvalidArgumentError(
            "page_size", f"{page_size} is not within 1 to {largest} (0: {default})"
        )
    return page_size or default


def read_page_token(token: str, mark: str) -> str:
    """Return what follows a page token's mark, which says where the page starts; "" for the first.

    Raises:
      InvalidArgumentError: it is not one that a reply gave.
    """
    place = token.removeprefix(mark)
    if token and place in {"", token}:
        raise InvalidArgumentError("page_token", "is not one that a reply gave")
    return place


def read_version(version: int, field: str = "version") -> int | None:
    """Return the version asked for, None for the default one.

    Raises:
      InvalidArgumentError: it is negative.
    """
    if version < 0:
        raise InvalidArgumentError(field, f"{version} is not a version; they start at 1")
    return version or None
