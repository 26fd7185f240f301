import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.kafka_wire import (
    KafkaReplyError,
    decode_api_versions,
    decode_cluster_id,
    decode_length,
    encode_api_versions,
    encode_cluster_query,
)


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text


def metadata_reply(cluster_id, brokers=((1, b"127.0.0.1", 9092, None),), topics=b"\0\0\0\0"):
    body = struct.pack(">ii", 1, len(brokers))
    for node, host, port, rack in brokers:
        body += struct.pack(">i", node) + string(host) + struct.pack(">i", port) + string(rack)
    return body + string(cluster_id) + struct.pack(">i", 1) + topics


def test_api_versions_request_bytes():
    assert encode_api_versions() == (
        b"\0\0\0\x17"  # 23 bytes follow
        b"\0\x12\0\0"  # ApiVersions, version 0
        b"\0\0\0\x01"  # correlation id
        b"\0\x0dtrellis-probe"
    )


def test_cluster_query_asks_for_no_topic():
    request = encode_cluster_query()
    assert request[4:8] == b"\0\x03\0\x02"
    assert request.endswith(b"trellis-probe\0\0\0\0")
    assert int.from_bytes(request[:4], "big") == len(request) - 4


def test_api_versions_reply_is_counted():
    reply = struct.pack(">ihi", 1, 0, 2) + struct.pack(">hhh", 18, 0, 4) * 2
    assert decode_api_versions(reply) == 2


@pytest.mark.parametrize(
    "brokers",
    [
        (),
        ((1, b"127.0.0.1", 9092, None),),
        ((1, b"a.example", 9092, b"rack-1"), (2, b"b.example", 9093, None)),
    ],
)
def test_cluster_id_is_found_behind_any_brokers(brokers):
    assert decode_cluster_id(metadata_reply(b"cluster-7", brokers)) == "cluster-7"


def test_cluster_id_may_be_missing():
    assert decode_cluster_id(metadata_reply(None)) is None


@pytest.mark.parametrize("decode", [decode_api_versions, decode_cluster_id])
@given(reply=st.binary(max_size=80))
def test_any_bytes_decode_or_are_refused(decode, reply):
    with contextlib.suppress(KafkaReplyError):
        decode(reply)


@pytest.mark.parametrize("size", range(len(metadata_reply(b"cluster-7")) - 8))
def test_a_cut_reply_is_refused(size):
    with pytest.raises(KafkaReplyError):
        decode_cluster_id(metadata_reply(b"cluster-7")[:size])


def test_an_error_reply_is_refused():
    with pytest.raises(KafkaReplyError):
        decode_api_versions(struct.pack(">ihi", 1, 35, 0))


def test_a_reply_to_another_request_is_refused():
    with pytest.raises(KafkaReplyError):
        decode_api_versions(struct.pack(">ihi", 2, 0, 0))


@pytest.mark.parametrize(
    "prefix", [b"HTTP", b"-ERR", b"\x15\x03\x03\0", b"\xff\xff\xff\xff", b"\0\0\0\0"]
)
def test_another_protocols_first_bytes_are_no_length(prefix):
    with pytest.raises(KafkaReplyError):
        decode_length(prefix)
