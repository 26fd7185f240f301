import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from engine.errors import InvalidArgumentError
from engine.services.arguments import read_page_size, read_time_us, read_version


@pytest.mark.parametrize(
    ("seconds", "nanos", "time_us"),
    [
        (0, 0, 0),
        (1, 1_999, 1_000_001),
        (253_402_300_799, 999_999_999, 253_402_300_799_999_999),
    ],
)
def test_a_time_is_cut_to_microseconds(seconds: int, nanos: int, time_us: int) -> None:
    assert read_time_us("as_of", Timestamp(seconds=seconds, nanos=nanos)) == time_us


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(-1, 0), (-1, 999_999_999), (0, -1), (0, 1_000_000_000), (253_402_300_800, 0), (2**63 - 1, 0)],
)
def test_what_is_no_time_is_refused_naming_the_field(seconds: int, nanos: int) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^as_of: "):
        read_time_us("as_of", Timestamp(seconds=seconds, nanos=nanos))


def test_a_page_has_a_default_and_a_largest_size() -> None:
    assert [read_page_size(n, default=3, largest=5) for n in (0, 1, 5)] == [3, 1, 5]
    for size in (-1, 6):
        with pytest.raises(InvalidArgumentError, match=r"^page_size: "):
            read_page_size(size, default=3, largest=5)


def test_no_version_means_the_default_one() -> None:
    assert (read_version(0), read_version(2)) == (None, 2)
    with pytest.raises(InvalidArgumentError, match=r"^version: "):
        read_version(-1)
