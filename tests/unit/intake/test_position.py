"""Where to go on, decided from what is stored and what the broker has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.intake.position import (
    Fingerprint,
    LogBounds,
    Start,
    StoredPosition,
    Verdict,
    Witness,
    decide_start,
    find_witness_offset,
)

MARK = Fingerprint.of(99, 1_700_000_000_000, b"k", b"v")
STORED = StoredPosition(100, "one", MARK)


def test_partition_never_read_starts_at_its_beginning() -> None:
    assert decide_start(None, LogBounds(5, 20), None, None) == Start(Verdict.FIRST, 5)
    assert decide_start(None, LogBounds(0, 0), "one", None) == Start(Verdict.FIRST, 0)


@pytest.mark.parametrize(
    ("bounds", "start"),
    [
        (LogBounds(0, 100), Start(Verdict.CONTINUED, 100)),
        (LogBounds(0, 500), Start(Verdict.CONTINUED, 100)),
        (LogBounds(100, 500), Start(Verdict.CONTINUED, 100)),
        (LogBounds(130, 500), Start(Verdict.GAP, 130, skipped=30)),
        (LogBounds(0, 99), Start(Verdict.CONTRADICTION, 100)),
    ],
)
def test_log_of_the_same_incarnation_is_continued(bounds: LogBounds, start: Start) -> None:
    assert decide_start(STORED, bounds, "one", None) == start


@pytest.mark.parametrize("bounds", [LogBounds(0, 0), LogBounds(0, 5_000), LogBounds(0, 100)])
def test_another_incarnation_is_read_from_its_beginning(bounds: LogBounds) -> None:
    assert decide_start(STORED, bounds, "two", None) == Start(Verdict.REPLACED, 0)


@pytest.mark.parametrize(
    ("bounds", "witness", "start"),
    [
        (LogBounds(0, 100), Witness.SAME, Start(Verdict.CONTINUED, 100)),
        (LogBounds(0, 5_000), Witness.OTHER, Start(Verdict.REPLACED, 0)),
        (LogBounds(0, 5_000), Witness.GONE, Start(Verdict.CONTINUED, 100)),
        (LogBounds(100, 5_000), None, Start(Verdict.CONTINUED, 100)),
        (LogBounds(140, 5_000), None, Start(Verdict.GAP, 140, skipped=40)),
        (LogBounds(0, 99), None, Start(Verdict.REPLACED, 0)),
        (LogBounds(0, 0), None, Start(Verdict.REPLACED, 0)),
    ],
)
def test_unnamed_log_is_recognised_by_its_length_and_its_last_record_read(
    bounds: LogBounds, witness: Witness | None, start: Start
) -> None:
    assert decide_start(STORED, bounds, None, witness) == start


def test_witness_is_looked_for_only_where_it_can_be() -> None:
    assert find_witness_offset(STORED, LogBounds(0, 100)) == 99
    assert find_witness_offset(STORED, LogBounds(99, 300)) == 99
    assert find_witness_offset(STORED, LogBounds(100, 300)) is None
    assert find_witness_offset(STORED, LogBounds(0, 99)) is None
    assert find_witness_offset(None, LogBounds(0, 100)) is None
    assert find_witness_offset(StoredPosition(100, "one", None), LogBounds(0, 100)) is None


@given(
    st.integers(min_value=0),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.none() | st.binary(),
    st.none() | st.binary(),
)
def test_fingerprint_survives_being_written_down(
    offset: int, timestamp: int, key: bytes | None, value: bytes | None
) -> None:
    fingerprint = Fingerprint.of(offset, timestamp, key, value)
    assert Fingerprint.parse(str(fingerprint)) == fingerprint


def test_fingerprint_tells_records_apart() -> None:
    records = [
        (7, 1, b"a", b"b"),
        (8, 1, b"a", b"b"),
        (7, 2, b"a", b"b"),
        (7, 1, b"", b"ab"),
        (7, 1, b"ab", b""),
        (7, 1, b"ab", None),
        (7, 1, None, b"ab"),
        (7, 1, None, None),
        (7, 1, b"", b""),
    ]
    assert len({Fingerprint.of(*record) for record in records}) == len(records)
