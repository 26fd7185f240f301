"""The machine's time, and times as the data file's columns take them: UTC, without a zone."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

Clock = Callable[[], int]
"""Returns the time in microseconds since 1970, UTC."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the columns hold UTC and carry no zone
_MICROSECOND: Final = timedelta(microseconds=1)


def read_clock_us() -> int:
    """Return the machine's time in microseconds since 1970, UTC."""
    return time.time_ns() // 1_000


def to_datetime(time_us: int) -> datetime:
    """Return microseconds since 1970 UTC as the naive UTC datetime that a column takes."""
    return _EPOCH + time_us * _MICROSECOND


def to_us(moment: datetime) -> int:
    """Return a naive UTC datetime as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND
