"""One moment, written in many ways."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.intake.rejection import Reason, RejectedError
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
        "20250131T083015,25+0000",
        "2025-01-31T08:30:15.25-00:00",
        "2025-01-31T08:31:16.25+00:01:01",
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


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-30T24:00",
        "2025-01-30T24:00:00",
        "2025-01-30 24:00:00.000Z",
        "20250130T240000Z",
        "2025-01-30T24:00:00+00:00",
        "2025-01-30t24:00:00,0z",
    ],
)
def test_hour_24_is_the_start_of_the_next_day(text: str) -> None:
    assert parse_timestamp(text) == MIDNIGHT_US


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-31T24:00:01Z",
        "2025-01-31T24:30Z",
        "2025-01-31T24:00:00.5Z",
        "2025-01-31T25:00:00Z",
        "9999-12-31T24:00:00Z",
        "2025-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2025-01-31T00:00:60Z",
        "2025-01-31T00:00:00+24:00",
    ],
)
def test_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(RejectedError, match="no valid time") as refused:
        parse_timestamp(text)
    assert refused.value.reason is Reason.TIMESTAMP_FORMAT


@pytest.mark.parametrize(
    "text",
    ["2024-01-01T10.5Z", "2024-01-01T10,5", "2024-01-01T10:30.5Z", "20240101T1030.5+02:00"],
)
def test_fraction_of_an_hour_or_a_minute_is_refused_as_such(text: str) -> None:
    with pytest.raises(RejectedError, match="fraction of an hour or a minute"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "2024-01",
        "2024-1-1",
        "2024-01-01T",
        "2024-01-01T10",
        "2024-01-01T10Z",
        "2024-01-01T00:00:00 Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.",
        "2024-01-01T00:00:00ZZ",
        "2024-01-01T00:0000Z",
        "2024-01-01T0000:00Z",
        "2024-01-01T00:00:00+2",
        "2024-01-01T00:00:00+02:0",
        "2024-01-01T00:00:00+0200:00",
        "2024-01-01T00:00:00Z\n",
        " 2024-01-01T00:00:00Z",
        "2024-01-01  00:00:00Z",
        "2024-01-01_00:00:00Z",
        "2024-0101T00:00:00Z",
        "2024-W01T00:00:00Z",
        "2024-W01-8",
        "２０２４-01-01T00:00:00Z",
    ],
)
def test_what_is_not_quite_iso_8601_is_refused(text: str) -> None:
    with pytest.raises(RejectedError, match="not a known format") as refused:
        parse_timestamp(text)
    assert refused.value.reason is Reason.TIMESTAMP_FORMAT
