import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.units import format_duration, format_size, parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("0.1s", 0.1),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1.5h", 5400.0),
        ("24h", 86_400.0),
        ("30d", 2_592_000.0),
        ("5 m", 300.0),
    ],
)
def test_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "5M", "-5m", "5m ", "1e3s", "5mm", "٥m", "9" * 5000 + "s", "5\nm", "nan s"],
)
def test_text_that_is_no_duration_is_none(text: str) -> None:
    assert parse_duration_s(text) is None


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0B", 0), ("64KiB", 65_536), ("256MB", 256_000_000), ("1.5GiB", 3 * 2**29), ("1kB", 1000)],
)
def test_size_is_read_in_bytes(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "1", "1gb", "0.1B", "-1B", "1 GiB ", "5m"])
def test_text_that_is_no_size_is_none(text: str) -> None:
    assert parse_size_bytes(text) is None


@given(st.integers(0, 10**12))
def test_written_size_reads_back(size_bytes: int) -> None:
    assert parse_size_bytes(format_size(size_bytes)) == size_bytes


@given(st.integers(0, 10**10))
def test_written_duration_reads_back(milliseconds: int) -> None:
    assert parse_duration_s(format_duration(milliseconds / 1000)) == milliseconds / 1000
