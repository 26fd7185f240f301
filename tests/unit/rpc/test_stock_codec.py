"""The protocol layer, fed by an h2 client without a socket."""

import zlib
from collections.abc import Iterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st
from purerpc import Status, StatusCode
from purerpc.grpclib.events import MessageReceived, RequestEnded, RequestReceived

from engine.rpc.limits import TransportLimits
from engine.rpc.stock.codec import Codec, StreamRefused, StreamReset, frame_message, goaway_frame

LIMITS = TransportLimits(message_bytes_max=1_000)
HEADERS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/a.Service/Method",
    ":authority": "localhost",
    "te": "trailers",
    "content-type": "application/grpc",
}


class Pair:
    """A client and the codec, joined by nothing but bytes."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.client = h2.connection.H2Connection(config)
        self.client.initiate_connection()
        self.codec = Codec(LIMITS)
        self.codec.initiate_connection()
        self.exchange()
        self.window = self.codec.h2_connection.inbound_flow_control_window

    def exchange(self) -> tuple[list[Any], list[Any]]:
        """Carry bytes both ways; return what the codec and the client made of them."""
        at_server = self.codec.receive_data(self.client.data_to_send())
        at_client = self.client.receive_data(self.codec.data_to_send())
        return at_server, at_client

    def request(self, data: bytes = b"", *, end: bool = True, **headers: str) -> list[Any]:
        stream_id = self.client.get_next_available_stream_id()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.client.send_headers(stream_id, list({**HEADERS, **named}.items()))
        self.client.send_data(stream_id, data, end_stream=end)
        return self.exchange()[0]


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    # Whatever happened to a call, the peer has all its credit again and nothing is kept of it.
    made.exchange()
    assert not made.codec.message_read_buffers
    assert not made.codec._uncredited
    assert not made.codec._receiving


def test_a_call_is_read_answered_and_forgotten(pair: Pair) -> None:
    events = pair.request(frame_message(b"hello") + frame_message(b""))
    request, first, second, ended = events
    assert isinstance(request, RequestReceived)
    assert (request.service_name, request.method_name) == ("a.Service", "Method")
    assert isinstance(first, MessageReceived)
    assert (first.data, second.data) == (b"hello", b"")
    assert isinstance(ended, RequestEnded)
    pair.codec.release(1, first.flow_controlled_length)
    pair.codec.start_response(1, "+proto")
    reply = memoryview(frame_message(b"world"))
    assert pair.codec.send_message_part(1, reply) == len(reply)
    pair.codec.answer(1, Status(StatusCode.OK), reply_started=True)
    data = [e.data for e in pair.exchange()[1] if isinstance(e, h2.events.DataReceived)]
    assert b"".join(data) == frame_message(b"world")


@pytest.mark.parametrize(
    ("data", "headers", "code"),
    [
        (b"\x00\xff\xff\xff\xff", {}, StatusCode.RESOURCE_EXHAUSTED),
        (b"\x01\x00\x00\x00\x01x", {}, StatusCode.UNIMPLEMENTED),
        (b"\x01\x00\x00\x00\x01x", {"grpc_encoding": "snappy"}, StatusCode.UNIMPLEMENTED),
        (b"\x01\x00\x00\x00\x01x", {"grpc_encoding": "gzip"}, StatusCode.INVALID_ARGUMENT),
        (
            b"\x01\x00\x00\x00\x04" + zlib.compress(b"x" * 500)[:4],
            {"grpc_encoding": "deflate"},
            StatusCode.INVALID_ARGUMENT,
        ),
        (b"", {"content_type": "text/html"}, StatusCode.UNIMPLEMENTED),
        (b"", {"grpc_timeout": "soon"}, StatusCode.UNIMPLEMENTED),
        (b"", {"grpc_timeout": "99999999999999H"}, StatusCode.UNIMPLEMENTED),
        (b"", {"token_bin": "a"}, StatusCode.UNIMPLEMENTED),
    ],
)
@pytest.mark.parametrize("end", [True, False])
def test_a_bad_call_is_refused_and_the_next_one_is_read(
    pair: Pair, data: bytes, headers: dict[str, str], code: StatusCode, end: bool
) -> None:
    refused = [e for e in pair.request(data, end=end, **headers) if isinstance(e, StreamRefused)]
    assert [(r.stream_id, r.status.status_code) for r in refused] == [(1, code)]
    pair.codec.answer(1, refused[0].status, reply_started=False)
    pair.exchange()
    events = pair.request(frame_message(b"next"))
    assert [e.data for e in events if isinstance(e, MessageReceived)] == [b"next"]
    pair.codec.release(3)
    pair.codec.answer(3, Status(StatusCode.OK), reply_started=False)


def test_a_bomb_is_not_inflated(pair: Pair) -> None:
    bomb = zlib.compress(b"x" * 100_000)
    data = b"\x01" + len(bomb).to_bytes(4, "big") + bomb
    events = pair.request(data, grpc_encoding="deflate")
    [refused] = [e for e in events if isinstance(e, StreamRefused)]
    assert refused.status.status_code is StatusCode.RESOURCE_EXHAUSTED
    pair.codec.answer(1, refused.status, reply_started=False)


def test_a_reset_is_told_and_gives_back_all_credit(pair: Pair) -> None:
    pair.request(frame_message(b"x" * 900)[:500], end=False)
    pair.client.reset_stream(1)
    events, _ = pair.exchange()
    assert events == [StreamReset(1)]


def test_a_goaway_is_one_that_peers_read(pair: Pair) -> None:
    [event] = pair.client.receive_data(goaway_frame(7))
    assert isinstance(event, h2.events.ConnectionTerminated)
    assert (event.last_stream_id, event.error_code) == (7, 0)


@given(st.lists(st.binary(max_size=300), max_size=10), st.data())
def test_messages_are_found_however_the_bytes_are_cut(
    messages: list[bytes], data: st.DataObject
) -> None:
    pair = Pair()
    pair.client.send_headers(1, list(HEADERS.items()))
    rest = b"".join(map(frame_message, messages))
    found = []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pair.client.send_data(1, rest[:size])
        rest = rest[size:]
        for event in pair.exchange()[0]:
            if isinstance(event, MessageReceived):
                found.append(event.data)
                pair.codec.release(1, event.flow_controlled_length)
    assert found == messages
    assert not pair.codec._uncredited
