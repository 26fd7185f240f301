"""RFC 9113 section by section: what a server does with frames that the section forbids."""

import attrs
import pytest

from engine.rpc.http2 import frames
from engine.rpc.http2.events import (
    ConnectionFailed,
    DataReceived,
    HeadersReceived,
    PeerGoesAway,
    StreamReset,
)
from engine.rpc.http2.frames import ErrorCode, Setting
from engine.rpc.http2.header_blocks import encode_headers
from engine.rpc.http2.heads import RequestHead, read_request_head
from engine.rpc.http2.limits import Http2Limits
from engine.rpc.http2.protocol import Http2Protocol

FIELDS = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/s/m"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]
BLOCK = encode_headers(FIELDS)
LIMITS = Http2Limits(max_concurrent_streams=3, max_resets_per_s=50, max_pings_per_s=50)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return frames.pack_frame_header(len(payload), kind, flags, stream_id) + payload


def headers(stream_id: int, *, end: bool = False, block: bytes = BLOCK) -> bytes:
    flags = frames.FLAG_END_HEADERS | (frames.FLAG_END_STREAM if end else 0)
    return frame(frames.HEADERS, flags, stream_id, block)


def data(stream_id: int, payload: bytes = b"x", *, end: bool = False) -> bytes:
    return frame(frames.DATA, frames.FLAG_END_STREAM if end else 0, stream_id, payload)


def open_server(limits: Http2Limits = LIMITS) -> Http2Protocol[RequestHead]:
    server = Http2Protocol(client=False, limits=limits, interpret=read_request_head)
    b"".join(server.take_output())
    return server


def established(limits: Http2Limits = LIMITS) -> Http2Protocol[RequestHead]:
    server = open_server(limits)
    server.receive(frames.CLIENT_PREFACE + frame(frames.SETTINGS, 0, 0), 0.0)
    server.receive(frames.SETTINGS_ACK, 0.0)
    b"".join(server.take_output())
    return server


def sent_frames(output: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while output:
        upper, lower, kind, flags, stream_id = frames.FRAME_HEADER.unpack_from(output)
        end = 9 + (upper << 8 | lower)
        found.append((kind, flags, stream_id, output[9:end]))
        output = output[end:]
    return found


def setting(parameter: int, value: int) -> bytes:
    return frame(frames.SETTINGS, 0, 0, parameter.to_bytes(2, "big") + value.to_bytes(4, "big"))


OPEN = headers(1)
HALF_CLOSED = headers(1, end=True)
RESET = OPEN + frame(frames.RST_STREAM, 0, 1, bytes(4))

CONNECTION_ERRORS = [
    ("3.4 preface", None, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    ("3.4 first frame is not SETTINGS", None, frames.CLIENT_PREFACE + headers(1), 1),
    ("3.4 first frame is a SETTINGS ack", None, frames.CLIENT_PREFACE + frames.SETTINGS_ACK, 1),
    ("4.2 frame too large", b"", data(1, bytes(LIMITS.max_frame_bytes + 1)), 6),
    ("4.3 block is not HPACK", b"", headers(1, block=b"\x80"), 9),
    ("4.3 block cut short", b"", headers(1, block=b"\x40\x05abc"), 9),
    ("5.1 idle: DATA", b"", data(1), 1),
    ("5.1 idle: RST_STREAM", b"", frame(frames.RST_STREAM, 0, 1, bytes(4)), 1),
    ("5.1 idle: WINDOW_UPDATE", b"", frame(frames.WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), 1),
    ("5.1 idle: CONTINUATION", b"", frame(frames.CONTINUATION, 4, 1, BLOCK), 1),
    ("5.1.1 even stream id", b"", headers(2), 1),
    ("5.1.1 stream id goes back", headers(5), headers(3), 1),
    ("6.1 DATA on stream 0", b"", data(0), 1),
    ("6.1 DATA padding too long", OPEN, frame(frames.DATA, 8, 1, b"\x05abcd"), 1),
    ("6.1 DATA padding missing", OPEN, frame(frames.DATA, 8, 1, b""), 1),
    ("6.2 HEADERS on stream 0", b"", headers(0), 1),
    ("6.2 HEADERS padding too long", b"", frame(frames.HEADERS, 12, 1, b"\xff" + BLOCK), 1),
    ("6.2 HEADERS priority cut short", b"", frame(frames.HEADERS, 0x24, 1, b"abc"), 6),
    ("6.2 another frame inside a block", frame(frames.HEADERS, 0, 1, BLOCK[:3]), data(1), 1),
    (
        "6.2 another stream's block inside a block",
        frame(frames.HEADERS, 0, 1, BLOCK[:3]),
        frame(frames.CONTINUATION, 4, 3, BLOCK[3:]),
        1,
    ),
    ("6.2 unknown frame inside a block", frame(frames.HEADERS, 0, 1), frame(0x20, 0, 1), 1),
    ("6.3 PRIORITY on stream 0", b"", frame(frames.PRIORITY, 0, 0, bytes(5)), 1),
    ("6.4 RST_STREAM on stream 0", b"", frame(frames.RST_STREAM, 0, 0, bytes(4)), 1),
    ("6.4 RST_STREAM size", OPEN, frame(frames.RST_STREAM, 0, 1, bytes(3)), 6),
    ("6.5 SETTINGS ack with payload", b"", frame(frames.SETTINGS, 1, 0, bytes(6)), 6),
    ("6.5 SETTINGS on a stream", b"", frame(frames.SETTINGS, 0, 1, bytes(6)), 1),
    ("6.5 SETTINGS size", b"", frame(frames.SETTINGS, 0, 0, bytes(3)), 6),
    ("6.5.2 ENABLE_PUSH", b"", setting(Setting.ENABLE_PUSH, 2), 1),
    ("6.5.2 INITIAL_WINDOW_SIZE", b"", setting(Setting.INITIAL_WINDOW_SIZE, 2**31), 3),
    ("6.5.2 MAX_FRAME_SIZE small", b"", setting(Setting.MAX_FRAME_SIZE, 16_383), 1),
    ("6.5.2 MAX_FRAME_SIZE large", b"", setting(Setting.MAX_FRAME_SIZE, 2**24), 1),
    ("6.6 PUSH_PROMISE", OPEN, frame(frames.PUSH_PROMISE, 4, 1, bytes(4) + BLOCK), 1),
    ("6.7 PING on a stream", b"", frame(frames.PING, 0, 1, bytes(8)), 1),
    ("6.7 PING size", b"", frame(frames.PING, 0, 0, bytes(6)), 6),
    ("6.8 GOAWAY on a stream", b"", frame(frames.GOAWAY, 0, 1, bytes(8)), 1),
    ("6.8 GOAWAY size", b"", frame(frames.GOAWAY, 0, 0, bytes(7)), 6),
    ("6.9 WINDOW_UPDATE of nothing", b"", frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)), 1),
    ("6.9 WINDOW_UPDATE size", b"", frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)), 6),
    ("6.9.1 window overflows", b"", frame(frames.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), 3),
    (
        "6.9.2 settings overflow a window",
        OPEN + frame(frames.WINDOW_UPDATE, 0, 1, (2**31 - 1 - 65_535).to_bytes(4, "big")),
        setting(Setting.INITIAL_WINDOW_SIZE, 65_536),
        3,
    ),
    ("6.10 CONTINUATION after a whole block", OPEN, frame(frames.CONTINUATION, 4, 1, BLOCK), 1),
]

STREAM_ERRORS = [
    ("5.1 half-closed: DATA", HALF_CLOSED, data(1), ErrorCode.STREAM_CLOSED),
    ("5.1 half-closed: HEADERS", HALF_CLOSED, headers(1), ErrorCode.STREAM_CLOSED),
    ("5.1 closed: DATA", RESET, data(1), ErrorCode.STREAM_CLOSED),
    ("5.1.2 too many streams", headers(1) + headers(3) + headers(5), headers(7), 7),
    ("5.3.1 priority on itself", OPEN, frame(frames.PRIORITY, 0, 1, b"\0\0\0\1\0"), 1),
    ("6.3 PRIORITY size", OPEN, frame(frames.PRIORITY, 0, 1, bytes(4)), 6),
    ("6.9 WINDOW_UPDATE of nothing", OPEN, frame(frames.WINDOW_UPDATE, 0, 1, bytes(4)), 1),
    (
        "6.9.1 window overflows",
        OPEN,
        frame(frames.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    ("8.1 second HEADERS without END_STREAM", OPEN, headers(1, block=b""), 1),
    ("8.1 pseudo-headers in trailers", OPEN, headers(1, end=True), 1),
    (
        "8.2.2 connection-specific",
        b"",
        headers(1, block=BLOCK + encode_headers([(b"connection", b"close")])),
        1,
    ),
    ("8.3.1 no path", b"", headers(1, block=encode_headers(FIELDS[:2])), 1),
    (
        "8.1.1 content-length with less data",
        headers(1, block=BLOCK + encode_headers([(b"content-length", b"5")])),
        data(1, b"1234", end=True),
        1,
    ),
    (
        "8.1.1 content-length with more data",
        headers(1, block=BLOCK + encode_headers([(b"content-length", b"5")])),
        data(1, b"123456"),
        1,
    ),
]


@pytest.mark.parametrize(
    ("before", "bad", "code"),
    [pytest.param(*case[1:], id=case[0]) for case in CONNECTION_ERRORS],
)
def test_connection_error(before: bytes | None, bad: bytes, code: int) -> None:
    server = open_server() if before is None else established()
    if before:
        assert not any(isinstance(e, ConnectionFailed) for e in server.receive(before, 0.0))
        b"".join(server.take_output())
    events = server.receive(bad, 0.0)
    failure = events[-1]
    assert isinstance(failure, ConnectionFailed)
    kind, _, stream_id, payload = sent_frames(b"".join(server.take_output()))[-1]
    assert (kind, stream_id) == (frames.GOAWAY, 0)
    assert frames.unpack_goaway(payload)[1] == code == failure.code
    assert server.receive(headers(99), 0.0) == []


@pytest.mark.parametrize(
    ("before", "bad", "code"),
    [pytest.param(*case[1:], id=case[0]) for case in STREAM_ERRORS],
)
def test_stream_error(before: bytes, bad: bytes, code: int) -> None:
    server = established()
    server.receive(before, 0.0)
    b"".join(server.take_output())
    events = server.receive(bad, 0.0)
    assert not any(isinstance(event, ConnectionFailed) for event in events)
    resets = [f for f in sent_frames(b"".join(server.take_output())) if f[0] == frames.RST_STREAM]
    assert [frames.unpack_uint32(payload) for *_, payload in resets] == [code]
    ping = server.receive(frame(frames.PING, 0, 0, bytes(8)), 0.0)
    assert ping == []
    assert sent_frames(b"".join(server.take_output())) == [(frames.PING, 1, 0, bytes(8))]


def test_headers_on_a_finished_stream_end_the_connection() -> None:
    server = established()
    server.receive(HALF_CLOSED, 0.0)
    server.send_headers(1, BLOCK, end_stream=True)
    failure = server.receive(headers(1), 0.0)[-1]
    assert isinstance(failure, ConnectionFailed)
    assert failure.code == ErrorCode.STREAM_CLOSED


def test_padding_priority_and_continuation_are_taken_off() -> None:
    server = established()
    padded = bytes([3]) + bytes(5) + BLOCK[:4] + b"\0\0\0"
    events = server.receive(
        frame(frames.HEADERS, 0x28, 1, padded)
        + frame(frames.CONTINUATION, 0, 1, BLOCK[4:9])
        + frame(frames.CONTINUATION, 4, 1, BLOCK[9:])
        + frame(frames.DATA, 0x9, 1, b"\x02message\0\0"),
        0.0,
    )
    received, body = events
    assert isinstance(received, HeadersReceived)
    assert received.head.path == "/s/m"
    assert body == DataReceived(1, b"message", ended=True)


def test_unknown_frames_flags_and_settings_are_ignored() -> None:
    server = established()
    events = server.receive(
        frame(0x99, 0xFF, 1, b"?") + setting(0x99, 7) + frame(frames.PING, 0xFE, 0, bytes(8)), 0.0
    )
    assert not any(isinstance(event, ConnectionFailed) for event in events)


def test_reserved_bit_of_a_stream_id_is_ignored() -> None:
    events = established().receive(headers(1 | 1 << 31), 0.0)
    assert isinstance(events[0], HeadersReceived)
    assert events[0].stream_id == 1


def test_data_beyond_a_streams_window_resets_the_stream() -> None:
    server = established(Http2Limits(max_frame_bytes=1 << 16, stream_window_bytes=65_535))
    server.receive(OPEN, 0.0)
    events = server.receive(data(1, bytes(60_000)) + data(1, bytes(6_000)), 0.0)
    assert events[-1] == StreamReset(1, ErrorCode.FLOW_CONTROL_ERROR, by_peer=False)


def test_data_beyond_the_connections_window_ends_it() -> None:
    server = established(
        Http2Limits(
            max_frame_bytes=1 << 16, stream_window_bytes=65_535, connection_window_bytes=65_535
        )
    )
    server.receive(headers(1) + headers(3), 0.0)
    events = server.receive(data(1, bytes(40_000)) + data(3, bytes(40_000)), 0.0)
    assert isinstance(events[-1], ConnectionFailed)
    assert events[-1].code == ErrorCode.FLOW_CONTROL_ERROR


def test_data_on_its_way_while_we_reset_is_ignored_and_credited() -> None:
    server = established(
        Http2Limits(
            max_frame_bytes=1 << 16, stream_window_bytes=65_535, connection_window_bytes=65_535
        )
    )
    server.receive(OPEN, 0.0)
    server.reset_stream(1, ErrorCode.CANCEL)
    b"".join(server.take_output())
    assert server.receive(data(1, bytes(60_000)), 0.0) == []
    assert sent_frames(b"".join(server.take_output())) == [
        (frames.WINDOW_UPDATE, 0, 0, (60_000).to_bytes(4, "big"))
    ]


def test_an_answer_before_the_requests_end_asks_the_client_to_stop() -> None:
    server = established()
    server.receive(OPEN, 0.0)
    server.send_headers(1, BLOCK, end_stream=True)
    kinds = [(kind, payload) for kind, _, _, payload in sent_frames(b"".join(server.take_output()))]
    assert kinds == [(frames.HEADERS, BLOCK), (frames.RST_STREAM, bytes(4))]
    assert server.open_streams == 0


def test_a_block_larger_than_the_peers_frames_is_continued() -> None:
    server = established()
    server.receive(HALF_CLOSED, 0.0)
    block = encode_headers([(b"x", bytes(40_000))])
    server.send_headers(1, block)
    sent = sent_frames(b"".join(server.take_output()))
    assert [(kind, flags) for kind, flags, _, _ in sent] == [
        (frames.HEADERS, 0),
        (frames.CONTINUATION, 0),
        (frames.CONTINUATION, frames.FLAG_END_HEADERS),
    ]
    assert b"".join(payload for *_, payload in sent) == block


def test_a_shrunk_table_is_acknowledged_in_the_next_block_once() -> None:
    server = established()
    server.receive(setting(Setting.HEADER_TABLE_SIZE, 0) + HALF_CLOSED, 0.0)
    b"".join(server.take_output())
    server.send_headers(1, BLOCK)
    server.send_headers(1, BLOCK, end_stream=True)
    blocks = [payload for *_, payload in sent_frames(b"".join(server.take_output()))]
    assert blocks == [b"\x20" + BLOCK, BLOCK]


def test_data_that_a_setting_lets_out_follows_its_acknowledgement() -> None:
    server = established()
    server.receive(setting(Setting.INITIAL_WINDOW_SIZE, 10) + HALF_CLOSED, 0.0)
    server.send_headers(1, BLOCK)
    server.send_data(1, bytes(30), end_stream=True)
    server.take_output()
    server.receive(setting(Setting.INITIAL_WINDOW_SIZE, 20), 0.0)
    server.receive(setting(Setting.INITIAL_WINDOW_SIZE, 0), 0.0)
    server.receive(setting(Setting.INITIAL_WINDOW_SIZE, 40), 0.0)
    sent = sent_frames(b"".join(server.take_output()))
    acknowledgement = (frames.SETTINGS, frames.FLAG_ACK, 0, b"")
    assert sent == [
        acknowledgement,
        (frames.DATA, 0, 1, bytes(10)),
        acknowledgement,
        acknowledgement,
        (frames.DATA, frames.FLAG_END_STREAM, 1, bytes(10)),
    ]


def test_drain_announces_twice_and_ignores_streams_after_the_second() -> None:
    server = established()
    server.receive(headers(1), 0.0)
    server.begin_drain()
    assert isinstance(server.receive(headers(3), 0.0)[0], HeadersReceived)
    server.finish_drain()
    assert server.receive(headers(5) + data(5), 0.0) == []
    announced = [
        frames.unpack_goaway(payload)[:2]
        for kind, _, _, payload in sent_frames(b"".join(server.take_output()))
        if kind == frames.GOAWAY
    ]
    assert announced == [(frames.MAX_STREAM_ID, 0), (3, 0)]


def test_the_peers_goaway_is_reported() -> None:
    events = established().receive(frame(frames.GOAWAY, 0, 0, b"\0\0\0\7\0\0\0\0bye"), 0.0)
    assert events == [PeerGoesAway(7, 0, b"bye")]


FLOODS = [
    (
        "rapid reset",
        b"".join(RESET.replace(b"\0\0\0\1", n.to_bytes(4, "big")) for n in range(1, 401, 2)),
    ),
    ("pings", frame(frames.PING, 0, 0, bytes(8)) * 200),
    ("settings", frame(frames.SETTINGS, 0, 0) * 200),
    ("settings acks", frames.SETTINGS_ACK * 200),
    ("empty data", OPEN + data(1, b"") * 200),
    ("window updates", frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 30_000),
    ("priority", frame(frames.PRIORITY, 0, 1, bytes(5)) * 2_000),
    ("unknown frames", frame(0x42, 0, 0) * 2_000),
    ("continuations", frame(frames.HEADERS, 0, 1) + frame(frames.CONTINUATION, 0, 1) * 200),
    (
        "large block",
        frame(frames.HEADERS, 0, 1, bytes(16_000))
        + frame(frames.CONTINUATION, 0, 1, bytes(16_000)),
    ),
    (
        "resets provoked by errors",
        OPEN + frame(frames.PRIORITY, 0, 1, b"\0\0\0\1\0") * 200,
    ),
    (
        "streams over the limit",
        b"".join(headers(stream_id) for stream_id in range(1, 401, 2)),
    ),
]


@pytest.mark.parametrize("flood", [pytest.param(f[1], id=f[0]) for f in FLOODS])
def test_a_flood_ends_the_connection(flood: bytes) -> None:
    server = established()
    failure = server.receive(flood, 0.5)[-1]
    assert isinstance(failure, ConnectionFailed)
    assert failure.code == ErrorCode.ENHANCE_YOUR_CALM


def test_the_same_frames_spread_over_time_are_no_flood() -> None:
    server = established()
    for second in range(50):
        events = server.receive(frame(frames.PING, 0, 0, bytes(8)) * 10, float(second))
        assert events == []


def test_credit_for_data_of_ours_is_no_flood() -> None:
    """A client that takes thousands of replies a second sends two of these for each."""
    server = established(attrs.evolve(LIMITS, max_window_updates_per_s=10))
    server.receive(headers(1), 0.5)
    server.send_headers(1, BLOCK)
    for _ in range(100):
        server.send_data(1, b"x")
        server.take_output()
    credit = frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1")
    assert server.receive(credit * 200, 0.5) == []
    assert isinstance(server.receive(credit * 11, 0.5)[-1], ConnectionFailed)
