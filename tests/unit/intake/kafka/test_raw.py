"""Where a batch starts and ends is read from its header alone."""

import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from engine.intake.kafka.damage import explain_damage
from engine.intake.kafka.raw import find_batch


def build_batch(base_offset: int, count: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    for number in range(count):
        builder.append(number, 1_700_000_000_000, None, b"x" * 20, [])
    batch = bytearray(builder.build())
    # The base offset is the broker's to set; the checksum does not cover it.
    struct.pack_into(">q", batch, 0, base_offset)
    return bytes(batch)


def test_first_batch_that_ends_past_the_offset_is_found() -> None:
    first, second = build_batch(10, 3), build_batch(20, 2)
    for offset, expected in [(0, first), (10, first), (12, first), (13, second), (21, second)]:
        found = find_batch(first + second, offset)
        assert found is not None
        assert found.content == expected
    assert find_batch(first + second, 22) is None
    found = find_batch(first + second, 13)
    assert found is not None
    assert (found.base_offset, found.next_offset) == (20, 22)


def test_batch_that_is_cut_off_is_found_by_its_header() -> None:
    batch = build_batch(10, 3)
    found = find_batch(batch[:-5], 10)
    assert found is not None
    assert found.next_offset == 13
    assert explain_damage(found.content) == "it is shorter than its header says"


@pytest.mark.parametrize(
    ("at", "layout", "value"),
    [(8, ">i", -1), (8, ">i", 5), (16, ">b", 3), (0, ">q", -1), (23, ">i", -7)],
    ids=["negative length", "small length", "magic", "negative offset", "negative delta"],
)
def test_header_that_makes_no_sense_is_no_batch(at: int, layout: str, value: int) -> None:
    batch = bytearray(build_batch(10, 3))
    struct.pack_into(layout, batch, at, value)
    assert find_batch(bytes(batch), 10) is None


@given(st.binary(max_size=200), st.integers(0, 100))
def test_no_bytes_whatever_make_the_search_fail(content: bytes, offset: int) -> None:
    found = find_batch(content, offset)
    assert found is None or found.next_offset > offset


def test_sound_batch_has_no_damage() -> None:
    assert explain_damage(build_batch(10, 3)) is None


def test_damage_is_explained() -> None:
    batch = bytearray(build_batch(10, 3))
    batch[-1] ^= 1
    assert explain_damage(bytes(batch)) == "its checksum does not match"
