"""Laws of the protocol: blind to how bytes are cut, lossless under any windows, unbreakable."""

from collections import deque

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rpc.http2 import frames
from engine.rpc.http2.events import ConnectionFailed, DataReceived, HeadersReceived
from engine.rpc.http2.header_blocks import encode_headers
from engine.rpc.http2.heads import (
    RequestHead,
    ResponseHead,
    read_request_head,
    read_response_head,
)
from engine.rpc.http2.limits import Http2Limits
from engine.rpc.http2.protocol import Http2Protocol

REQUEST = encode_headers(
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b"te", b"trailers")]
)
RESPONSE = encode_headers([(b":status", b"200")])
TRAILERS = encode_headers([(b"grpc-status", b"0")])


def open_server(limits: Http2Limits | None = None) -> Http2Protocol[RequestHead]:
    return Http2Protocol(client=False, limits=limits or Http2Limits(), interpret=read_request_head)


def open_client(limits: Http2Limits | None = None) -> Http2Protocol[ResponseHead]:
    return Http2Protocol(client=True, limits=limits or Http2Limits(), interpret=read_response_head)


FRAMES = st.builds(
    lambda kind, flags, stream_id, payload: (
        frames.pack_frame_header(len(payload), kind, flags, stream_id) + payload
    ),
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 0xFF]),
    st.sampled_from([0, 1, 1, 1, 2, 3, 5]),
    st.one_of(
        st.sampled_from([b"", bytes(4), bytes(8), b"\0\0\0\1", REQUEST, TRAILERS]),
        st.binary(max_size=40),
    ),
)
CONVERSATIONS = st.lists(FRAMES, max_size=30).map(
    lambda parts: frames.CLIENT_PREFACE + frames.pack_settings({}) + b"".join(parts)
)


@given(CONVERSATIONS, st.lists(st.integers(1, 60)))
def test_events_do_not_depend_on_how_bytes_are_cut(conversation: bytes, sizes: list[int]) -> None:
    whole, pieces = open_server(), open_server()
    expected = whole.receive(conversation, 0.0)
    actual = []
    for size in sizes:
        actual += pieces.receive(conversation[:size], 0.0)
        conversation = conversation[size:]
    actual += pieces.receive(conversation, 0.0)
    assert actual == expected
    assert b"".join(pieces.take_output()) == b"".join(whole.take_output())


@settings(max_examples=500)
@given(st.one_of(CONVERSATIONS, st.binary(max_size=300)))
def test_no_bytes_raise_and_a_failure_is_the_last_event(conversation: bytes) -> None:
    server = open_server()
    events = server.receive(conversation, 0.0)
    assert all(not isinstance(event, ConnectionFailed) for event in events[:-1])
    for event in events:
        if isinstance(event, HeadersReceived):
            server.send_headers(event.stream_id, RESPONSE)
            server.send_data(event.stream_id, b"reply")
            server.send_headers(event.stream_id, TRAILERS, end_stream=True)
    assert b"".join(server.take_output())


@attrs.frozen
class Body:
    parts: tuple[bytes, ...]
    credit_late: bool


BODIES = st.builds(
    Body,
    st.lists(st.integers(0, 90_000).map(bytes), min_size=1, max_size=5).map(tuple),
    st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(BODIES, min_size=1, max_size=5),
    st.integers(65_535, 200_000),
    st.lists(st.integers(1, 100_000), min_size=1),
)
def test_all_data_arrives_whatever_the_windows_and_the_order_of_credit(
    bodies: list[Body], window_bytes: int, cuts: list[int]
) -> None:
    """Both directions at once; some streams are credited only when nothing else moves."""
    limits = Http2Limits(stream_window_bytes=window_bytes, connection_window_bytes=window_bytes)
    client, server = open_client(limits), open_server(limits)
    sent: dict[int, bytes] = {}
    late: dict[int, bool] = {}
    for body in bodies:
        stream_id = client.open_stream()
        client.send_headers(stream_id, REQUEST)
        for part in body.parts:
            client.send_data(stream_id, part)
        client.send_data(stream_id, b"", end_stream=True)
        sent[stream_id] = b"".join(body.parts)
        late[stream_id] = body.credit_late
    received = {(side, stream_id): b"" for side in "cs" for stream_id in sent}
    ended = set()
    owed: deque[tuple[Http2Protocol, int, int]] = deque()  # type: ignore[type-arg]
    cut = 0
    while True:
        moved = False
        for name, source, target in (("s", client, server), ("c", server, client)):
            output = b"".join(source.take_output())
            moved = moved or bool(output)
            while output:
                size = cuts[cut % len(cuts)]
                cut += 1
                for event in target.receive(output[:size], 0.0):
                    assert not isinstance(event, ConnectionFailed)
                    if isinstance(event, HeadersReceived) and target is server:
                        server.send_headers(event.stream_id, RESPONSE)
                    if isinstance(event, HeadersReceived) and event.ended:
                        ended.add((name, event.stream_id))
                    if isinstance(event, DataReceived):
                        received[name, event.stream_id] += event.data
                        if target is server:
                            server.send_data(event.stream_id, event.data)
                        if late[event.stream_id]:
                            owed.append((target, event.stream_id, len(event.data)))
                        else:
                            target.credit_connection(len(event.data))
                            target.credit_stream(event.stream_id, len(event.data))
                        if event.ended:
                            ended.add((name, event.stream_id))
                            server.send_headers(event.stream_id, TRAILERS, end_stream=True)
                output = output[size:]
        if not moved:
            if not owed:
                break
            while owed:
                target, stream_id, size = owed.popleft()
                target.credit_connection(size)
                target.credit_stream(stream_id, size)
    assert ended == set(received)
    assert received == {(side, stream_id): sent[stream_id] for side, stream_id in received}
    assert (client.open_streams, server.open_streams) == (0, 0)
    assert (client.queued_bytes, server.queued_bytes) == (0, 0)
