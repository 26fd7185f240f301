import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rpc.http2.messages import (
    MessageError,
    MessageReader,
    MessageTooLargeError,
    frame_message,
)

LIMIT_BYTES = 1 << 20


def cut(body: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(body[:size])
        body = body[size:]
    return [*pieces, body]


@given(
    st.lists(st.one_of(st.binary(max_size=3_000), st.just(bytes(50_000))), max_size=6),
    st.lists(st.integers(0, 2_000)),
    st.sampled_from(["identity", "gzip", "deflate"]),
)
def test_messages_come_back_however_the_body_is_cut(
    messages: list[bytes], sizes: list[int], encoding: str
) -> None:
    body = b"".join(part for message in messages for part in frame_message(message, encoding))
    reader = MessageReader(encoding, LIMIT_BYTES)
    received = [message for piece in cut(body, sizes) for message in reader.feed(piece)]
    assert received == messages
    assert reader.buffered_bytes == 0


@given(st.binary(max_size=300), st.sampled_from(["identity", "gzip", "deflate"]))
def test_any_bytes_are_messages_or_the_documented_error(body: bytes, encoding: str) -> None:
    with contextlib.suppress(MessageError):
        MessageReader(encoding, 1_000).feed(body)


def test_a_message_over_the_limit_is_known_from_its_prefix() -> None:
    with pytest.raises(MessageTooLargeError):
        MessageReader("identity", 100).feed(b"\x00\x00\x00\x00\x65")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compression_bomb_stops_at_the_limit(encoding: str) -> None:
    zeros = bytes(100 << 20)
    packed = gzip.compress(zeros, 9) if encoding == "gzip" else zlib.compress(zeros, 9)
    with pytest.raises(MessageTooLargeError):
        MessageReader(encoding, LIMIT_BYTES).feed(b"\x01" + len(packed).to_bytes(4, "big") + packed)


@pytest.mark.parametrize("body", [b"\x01\x00\x00\x00\x01x", b"\x02\x00\x00\x00\x01x"])
def test_a_flag_that_the_headers_do_not_explain_is_refused(body: bytes) -> None:
    with pytest.raises(MessageError):
        MessageReader("identity", 100).feed(body)


def test_compressed_data_cut_short_is_refused() -> None:
    framed = b"".join(frame_message(b"x" * 5_000, "gzip"))[5:-4]
    with pytest.raises(MessageError):
        MessageReader("gzip", LIMIT_BYTES).feed(b"\x01" + len(framed).to_bytes(4, "big") + framed)


def test_what_is_too_small_to_gain_is_not_compressed() -> None:
    assert frame_message(b"small", "gzip") == (b"\x00\x00\x00\x00\x05small",)
