"""One moment, written in many ways."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.intake.timestamps import parse_timestamp

MOMENT = datetime.datetime(2025, 1, 31, 8, 30, 15, 250_000, tzinfo=datetime.UTC)
MOMENT_US = 1_738_312_215_250_000
MIDNIGHT_US = 1_738_281_600_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-31T08:30:15.25Z",
        "2025-01-31T08:30:15.250000Z",
        "2025-01-31T08:30:15.2500009Z",
        "2025-01-31T08:30:15,25Z",
        "2025-01-31t08:30:15.25z",
        "2025-01-31 08:30:15.25Z",
        "2025-01-31T08:30:15.25",
        "2025-01-31 08:30:15.25",
        "2025-01-31T08:30:15.25+00:00",
        "2025-01-31T10:30:15.25+02:00",
        "2025-01-31T10:30:15.25+0200",
        "2025-01-31T10:30:15.25+02",
        "2025-01-31T00:30:15.25-08:00",
        "2025-01-31T14:15:15.25+05:45",
        "2025-02-01T08:29:15.25+23:59",
        "20250131T083015.25Z",
        "2025-W05-5T08:30:15.25Z",
    ],
)
def test_iso_text_is_read_whatever_its_form(text: str) -> None:
    assert parse_timestamp(text) == MOMENT_US


@pytest.mark.parametrize("text", ["2025-01-31", "20250131", "2025-W05-5", "2025-01-31T00:00"])
def test_date_alone_is_midnight_utc(text: str) -> None:
    assert parse_timestamp(text) == MIDNIGHT_US


@pytest.mark.parametrize(
    "number", [1_738_312_215.25, 1_738_312_215_250, 1_738_312_215_250.0, 1_738_312_215.250_000_3]
)
def test_numbers_count_seconds_or_milliseconds_by_their_size(number: float) -> None:
    assert parse_timestamp(number) == MOMENT_US


def test_unit_changes_at_1e11() -> None:
    assert parse_timestamp(99_999_999_999) == 99_999_999_999 * 1_000_000
    assert parse_timestamp(100_000_000_000) == 100_000_000_000 * 1_000
    assert parse_timestamp(-1) == -1_000_000


@given(
    st.datetimes(timezones=st.timezones()).filter(
        lambda moment: moment.utcoffset().microseconds == 0
    )  # type: ignore[union-attr]
)
def test_text_of_any_offset_is_exact_to_the_microsecond(moment: datetime.datetime) -> None:
    expected = (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // (
        datetime.timedelta(microseconds=1)
    )
    assert parse_timestamp(moment.isoformat()) == expected


@given(st.integers(min_value=0, max_value=4_000_000_000 * 1_000_000))
def test_float_seconds_are_exact_to_the_microsecond(time_us: int) -> None:
    assert parse_timestamp(time_us / 1_000_000) == time_us
