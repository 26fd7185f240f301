"""100,000 damaged conversations, always the same: every case is its seed.

A failure names its seed; `conversation(seed)` builds it again. Seeds that once failed are kept in
`KEPT_SEEDS` and run first.
"""

import random

import pytest

from engine.rpc.http2 import frames
from engine.rpc.http2.events import ConnectionFailed, DataReceived, HeadersReceived
from engine.rpc.http2.header_blocks import encode_headers
from engine.rpc.http2.heads import read_request_head, read_response_head
from engine.rpc.http2.limits import Http2Limits
from engine.rpc.http2.messages import MessageError, MessageReader
from engine.rpc.http2.protocol import Http2Protocol

CASES = 100_000
BATCHES = 20
KEPT_SEEDS: tuple[int, ...] = (0,)

LIMITS = Http2Limits(max_concurrent_streams=5, connection_window_bytes=100_000)
REQUEST = encode_headers(
    [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b"te", b"trailers")]
)
RESPONSE = encode_headers([(b":status", b"200"), (b"content-type", b"application/grpc")])
TRAILERS = encode_headers([(b"grpc-status", b"0"), (b"grpc-message", b"%41")])
INDEXED = b"\x40\x01x\x01y\xbe\x3f\xe1\x1f"
BODIES = (b"\0\0\0\0\5hello", b"\1\0\0\0\2xx", b"\0\xff\xff\xff\xff", b"", b"\0\0\0")


def any_frame(chance: random.Random) -> bytes:
    """A frame that is likely valid by itself, if not in its place."""
    kind = chance.randrange(11)
    stream_id = chance.choice((0, 1, 1, 1, 3, 3, 5, 2, 2**31 - 1))
    flags = chance.choice((0, 1, 4, 5, 5, 5, 8, 0x20, chance.randrange(256)))
    payload = {
        frames.DATA: lambda: chance.choice(BODIES) * chance.randrange(1, 4),
        frames.HEADERS: lambda: chance.choice((REQUEST, RESPONSE, TRAILERS, INDEXED)),
        frames.PRIORITY: lambda: bytes(5),
        frames.RST_STREAM: lambda: chance.randrange(20).to_bytes(4, "big"),
        frames.SETTINGS: lambda: (
            chance.randrange(8).to_bytes(2, "big")
            + chance.choice((0, 1, 16_384, 65_535, 2**31 - 1, 2**31)).to_bytes(4, "big")
        ),
        frames.PING: lambda: bytes(8),
        frames.GOAWAY: lambda: bytes(8) + b"why",
        frames.WINDOW_UPDATE: lambda: chance.choice((0, 1, 2**16, 2**31 - 1)).to_bytes(4, "big"),
        frames.CONTINUATION: lambda: chance.choice((b"", TRAILERS)),
    }.get(kind, lambda: chance.randbytes(chance.randrange(20)))()
    if kind in (frames.RST_STREAM, frames.WINDOW_UPDATE, frames.PRIORITY):
        flags = 0
    return frames.pack_frame_header(len(payload), kind, flags, stream_id) + payload


def damage(chance: random.Random, data: bytes) -> bytes:
    """Flip, cut, repeat or insert a few bytes."""
    at = chance.randrange(len(data) + 1)
    match chance.randrange(5):
        case 0:
            octets = bytearray(data)
            for _ in range(chance.randrange(1, 4)):
                octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
            return bytes(octets)
        case 1:
            return data[:at]
        case 2:
            return data[:at] + data[at : at + chance.randrange(30)] + data[at:]
        case 3:
            return data[:at] + chance.randbytes(chance.randrange(10)) + data[at:]
        case _:
            return data


def conversation(seed: int) -> tuple[bool, list[bytes]]:
    """Return whether a client receives it, and the pieces in which it arrives."""
    chance = random.Random(seed)
    client = chance.random() < 0.3
    data = frames.pack_settings({}) + b"".join(
        any_frame(chance) for _ in range(chance.randrange(1, 12))
    )
    if not client:
        data = frames.CLIENT_PREFACE + data
    data = damage(chance, data)
    cut = chance.randrange(len(data) + 1)
    return client, [data[:cut], data[cut:]]


def run_case(seed: int) -> None:
    client, pieces = conversation(seed)
    interpret = read_response_head if client else read_request_head
    peer = Http2Protocol(client=client, limits=LIMITS, interpret=interpret)  # type: ignore[arg-type]
    if client:
        for _ in range(2):
            stream_id = peer.open_stream()
            peer.send_headers(stream_id, REQUEST)
            peer.send_data(stream_id, bytes(70_000), end_stream=True)
    failed = False
    readers: dict[int, MessageReader] = {}
    sent = b""
    for piece in pieces:
        for event in peer.receive(piece, 0.0):
            assert not failed, "an event after the connection failed"
            failed = isinstance(event, ConnectionFailed)
            if isinstance(event, HeadersReceived):
                peer.send_headers(event.stream_id, RESPONSE)
                peer.send_data(event.stream_id, bytes(1_000))
                if event.ended:
                    peer.send_headers(event.stream_id, TRAILERS, end_stream=True)
            elif isinstance(event, DataReceived):
                reader = readers.setdefault(event.stream_id, MessageReader("gzip", 10_000))
                try:
                    reader.feed(event.data)
                except MessageError:
                    peer.reset_stream(event.stream_id, frames.ErrorCode.CANCEL)
                peer.credit_connection(len(event.data))
                peer.credit_stream(event.stream_id, len(event.data))
        sent += b"".join(peer.take_output())
    assert peer.open_streams <= LIMITS.max_concurrent_streams
    check_frames(sent.removeprefix(frames.CLIENT_PREFACE))


def check_frames(sent: bytes) -> None:
    """What we send is whole frames, whatever we got."""
    while sent:
        upper, lower, kind, _, _ = frames.FRAME_HEADER.unpack_from(sent)
        assert kind <= frames.CONTINUATION
        size = frames.FRAME_HEADER_BYTES + (upper << 8 | lower)
        assert size <= len(sent)
        sent = sent[size:]


@pytest.mark.parametrize("seed", KEPT_SEEDS)
def test_a_conversation_that_once_failed(seed: int) -> None:
    run_case(seed)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_damage_breaks_the_protocol(batch: int) -> None:
    for seed in range(batch, CASES, BATCHES):
        try:
            run_case(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
