import contextlib

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rpc.http2.header_blocks import (
    Field,
    HeaderBlockError,
    HeaderDecoder,
    HeaderListTooLargeError,
    encode_headers,
)

LIMIT_BYTES = 16 << 10
NAMES = st.sampled_from([b":path", b":method", b"te", b"x-id", b"grpc-timeout", b"user-agent"])
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=40)), max_size=12)


def open_decoder(limit_bytes: int = LIMIT_BYTES) -> HeaderDecoder[tuple[Field, ...]]:
    return HeaderDecoder(lambda fields: fields, limit_bytes)


@given(st.lists(FIELDS, max_size=8), st.booleans())
def test_decodes_what_an_independent_encoder_sends(
    blocks: list[list[Field]], huffman: bool
) -> None:
    encoder, decoder = hpack.Encoder(), open_decoder()
    for fields in blocks:
        assert list(decoder.decode(encoder.encode(fields, huffman=huffman))) == fields


@given(st.lists(FIELDS, max_size=4))
def test_encodes_blocks_that_an_independent_decoder_reads(blocks: list[list[Field]]) -> None:
    decoder = hpack.Decoder()
    for fields in blocks:
        decoded = decoder.decode(encode_headers(fields), raw=True)
        assert [tuple(field) for field in decoded] == fields


@given(FIELDS)
def test_encoding_leaves_the_peers_table_alone(fields: list[Field]) -> None:
    decoder = hpack.Decoder()
    decoder.decode(encode_headers(fields), raw=True)
    assert not decoder.header_table.dynamic_entries


@given(st.lists(st.tuples(FIELDS, st.integers(0, 4096)), max_size=8))
def test_follows_changes_of_the_tables_size(steps: list[tuple[list[Field], int]]) -> None:
    encoder, decoder = hpack.Encoder(), open_decoder()
    for fields, table_bytes in steps:
        encoder.header_table_size = table_bytes
        assert list(decoder.decode(encoder.encode(fields))) == fields


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_the_documented_error(block: bytes) -> None:
    with contextlib.suppress(HeaderBlockError, HeaderListTooLargeError):
        open_decoder().decode(block)


def test_a_repeated_block_is_interpreted_once() -> None:
    calls = []
    decoder = HeaderDecoder(lambda fields: calls.append(fields) or fields, LIMIT_BYTES)
    block = encode_headers([(b":method", b"POST"), (b"x", b"1")])
    assert decoder.decode(block) is decoder.decode(block)
    assert len(calls) == 1


def test_a_change_of_the_table_forgets_what_blocks_meant() -> None:
    encoder, decoder = hpack.Encoder(), open_decoder()
    decoder.decode(encoder.encode([(b"x", b"1")]))
    index_62 = b"\xbe"
    assert decoder.decode(index_62) == ((b"x", b"1"),)
    decoder.decode(encoder.encode([(b"y", b"2")]))
    assert decoder.decode(index_62) == ((b"y", b"2"),)


def test_an_endless_integer_is_refused() -> None:
    with pytest.raises(HeaderBlockError):
        open_decoder().decode(b"\xff" + b"\xff" * 10_000 + b"\x00")


def test_a_list_over_the_limit_is_refused_and_the_table_stays_right() -> None:
    encoder, decoder = hpack.Encoder(), open_decoder(limit_bytes=200)
    large = [(b"x-%d" % number, b"v" * 20) for number in range(20)]
    with pytest.raises(HeaderListTooLargeError):
        decoder.decode(encoder.encode(large))
    assert decoder.decode(encoder.encode(large[-1:])) == tuple(large[-1:])


def test_a_bomb_of_references_is_refused_without_its_memory() -> None:
    encoder, decoder = hpack.Encoder(), open_decoder()
    decoder.decode(encoder.encode([(b"x", b"v" * 4_000)]))
    with pytest.raises(HeaderListTooLargeError):
        decoder.decode(b"\xbe" * 16_000)
