"""A peer that sends whatever bytes a test wants, and reports the frames that come back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import attrs
import trio
from google.protobuf.wrappers_pb2 import BytesValue

from engine.rpc.http2 import frames
from engine.rpc.http2.header_blocks import Field, encode_headers

ECHO = b"/trellis.test.Echo/Echo"


class Frame(NamedTuple):
    """A received frame."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return any frame, valid or not."""
    return frames.pack_frame_header(len(payload), kind, flags, stream_id) + payload


def request_headers(
    stream_id: int, path: bytes = ECHO, extra: tuple[Field, ...] = (), *, end: bool = False
) -> bytes:
    """Return the HEADERS of a gRPC request."""
    block = encode_headers(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", b"localhost"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *extra,
        ]
    )
    flags = frames.FLAG_END_HEADERS | (frames.FLAG_END_STREAM if end else 0)
    return frame(frames.HEADERS, flags, stream_id, block)


def message(payload: bytes, *, prefix: bytes | None = None) -> bytes:
    """Return a length-prefixed `BytesValue`."""
    data = BytesValue(value=payload).SerializeToString()
    return (prefix if prefix is not None else b"\0" + len(data).to_bytes(4, "big")) + data


def request(stream_id: int, payload: bytes, path: bytes = ECHO) -> bytes:
    """Return a whole unary request."""
    data = frame(frames.DATA, frames.FLAG_END_STREAM, stream_id, message(payload))
    return request_headers(stream_id, path) + data


def setting(parameter: int, value: int) -> bytes:
    """Return a SETTINGS frame with one parameter."""
    payload = parameter.to_bytes(2, "big") + value.to_bytes(4, "big")
    return frame(frames.SETTINGS, 0, 0, payload)


@attrs.define
class RawPeer:
    """One connection of bytes."""

    stream: trio.SocketStream
    _unparsed: bytes = b""

    async def send(self, data: bytes) -> None:
        """Send, unless the server has closed already."""
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            return

    async def next_frame(self) -> Frame | None:
        """Return the next frame, None once the server has closed the connection."""
        while True:
            if len(self._unparsed) >= 9:
                upper, lower, kind, flags, stream_id = frames.FRAME_HEADER.unpack_from(
                    self._unparsed
                )
                end = 9 + (upper << 8 | lower)
                if len(self._unparsed) >= end:
                    payload, self._unparsed = self._unparsed[9:end], self._unparsed[end:]
                    return Frame(kind, flags, stream_id, payload)
            try:
                data = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._unparsed += data

    async def frames_until(
        self, kind: int | None, stream_id: int | None = None, timeout_s: float = 5.0
    ) -> list[Frame]:
        """Return the frames up to the first of a kind; None: up to the connection's end."""
        found: list[Frame] = []
        with trio.fail_after(timeout_s):
            while (received := await self.next_frame()) is not None:
                found.append(received)
                if received.kind == kind and stream_id in (None, received.stream_id):
                    return found
        assert kind is None, f"closed before a frame of kind {kind}: {found}"
        return found

    async def goaway_code(self, timeout_s: float = 5.0) -> int:
        """Wait for GOAWAY and the connection's end; return the code."""
        received = await self.frames_until(None, timeout_s=timeout_s)
        codes = [frames.unpack_goaway(f.payload)[1] for f in received if f.kind == frames.GOAWAY]
        assert codes, f"closed without GOAWAY: {received}"
        return codes[-1]


@asynccontextmanager
async def raw_peer(port: int, *, greet: bool = True) -> AsyncIterator[RawPeer]:
    """Connect; `greet` sends the preface, SETTINGS and the acknowledgement."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        peer = RawPeer(stream)
        if greet:
            await peer.send(
                frames.CLIENT_PREFACE + frame(frames.SETTINGS, 0, 0) + frames.SETTINGS_ACK
            )
        yield peer
