"""purerpc's protocol layer (bytes in, events out) with a stream's faults kept to that stream.

As it comes, purerpc 0.8 raises out of `receive_data` when one call has a bad path, an unknown
compression or too large a message, which ends every other call of the connection; it inflates
messages without a bound, and it does not tell of streams that the peer resets.
"""

import struct
import zlib
from typing import Any

import attrs
from h2.errors import ErrorCodes  # type: ignore[import-untyped]
from purerpc import Status, StatusCode
from purerpc.grpclib.buffers import MessageReadBuffer
from purerpc.grpclib.config import GRPCConfiguration
from purerpc.grpclib.connection import GRPCConnection
from purerpc.grpclib.events import MessageReceived
from purerpc.grpclib.exceptions import (
    GRPCError,
    MessageTooLargeError,
    UnsupportedMessageEncodingError,
)

from engine.rpc.limits import TransportLimits

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # `deflate` means the zlib format; both headers are recognised

_FRAME_BYTES_MAX = 256 * 1024  # a frame is held whole before it is looked at

_MALFORMED = (GRPCError, ValueError, KeyError, AttributeError, TypeError, OverflowError)
"""What purerpc's header parser raises: it takes fields for present, single and well-formed."""


@attrs.frozen
class StreamReset:
    """The peer has cancelled a call."""

    stream_id: int


@attrs.frozen
class PeerLeaves:
    """The peer has ended the connection; h2 sends nothing more on it."""

    stream_id: int = 0


@attrs.frozen
class StreamRefused:
    """A call cannot be taken; it is to be answered with this status at once."""

    stream_id: int
    status: Status


class Codec(GRPCConnection):  # type: ignore[misc]  # purerpc has no types
    """The server's end of one connection. Sans I/O: `receive_data` in, `data_to_send` out."""

    def __init__(self, limits: TransportLimits) -> None:
        # Both are read by the base class, whose own are 65,536 streams and frames of 16 MiB.
        self.MAX_CONCURRENT_STREAMS = limits.streams_max
        self.MAX_INBOUND_FRAME_SIZE = _FRAME_BYTES_MAX
        self._limits = limits
        self._receiving: set[int] = set()
        self._uncredited: dict[int, int] = {}
        config = GRPCConfiguration(client_side=False, max_message_length=limits.message_bytes_max)
        super().__init__(config)

    def release(self, stream_id: int, amount_bytes: int | None = None) -> None:
        """Give the peer credit for received bytes that are used or dropped; None: for all."""
        held = self._uncredited.get(stream_id, 0)
        amount_bytes = held if amount_bytes is None else amount_bytes
        if held > amount_bytes:
            self._uncredited[stream_id] = held - amount_bytes
        else:
            self._uncredited.pop(stream_id, None)
        self.acknowledge_received_data(stream_id, amount_bytes)

    def send_message_part(self, stream_id: int, data: memoryview) -> int:
        """Send as much of `data` as the peer has room for and return that many bytes."""
        size_bytes: int = min(len(data), max(0, self.flow_control_window(stream_id)))
        if size_bytes:
            self.send_data(stream_id, bytes(data[:size_bytes]))
        return size_bytes

    def answer(self, stream_id: int, status: Status, *, reply_started: bool) -> None:
        """End a stream with a status; a peer that still sends its request is told to stop."""
        if reply_started:
            self.end_response(stream_id, status)
        else:
            self.respond_status(stream_id, status, "+proto")
        self.message_read_buffers.pop(stream_id, None)
        self.release(stream_id)
        if stream_id in self._receiving:
            self._receiving.discard(stream_id)
            self.reset_stream(stream_id, ErrorCodes.NO_ERROR)

    def _request_received(self, event: Any) -> list[Any]:
        if not event.stream_ended:
            self._receiving.add(event.stream_id)
        try:
            (request,) = super()._request_received(event)
        except _MALFORMED as error:
            text = f"the request's headers are malformed: {error}"
            return [self._refused(event.stream_id, StatusCode.UNIMPLEMENTED, text)]
        self.message_read_buffers[event.stream_id] = _BoundedReadBuffer(
            request.message_encoding, self._limits.message_bytes_max
        )
        return [request]

    def _data_received(self, event: Any) -> list[Any]:
        stream_id = event.stream_id
        size_bytes = event.flow_controlled_length
        buffer = self.message_read_buffers.get(stream_id)
        if buffer is None:  # refused, or answered before the request was complete
            self.acknowledge_received_data(stream_id, size_bytes)
            return []
        self._uncredited[stream_id] = self._uncredited.get(stream_id, 0) + size_bytes
        try:
            buffer.data_received(event.data, size_bytes)
        except MessageTooLargeError as error:
            return [self._refused(stream_id, StatusCode.RESOURCE_EXHAUSTED, str(error))]
        except UnsupportedMessageEncodingError as error:
            return [self._refused(stream_id, StatusCode.UNIMPLEMENTED, str(error))]
        except zlib.error as error:
            text = f"a message cannot be inflated: {error}"
            return [self._refused(stream_id, StatusCode.INVALID_ARGUMENT, text)]
        return [
            MessageReceived(stream_id, data, credit_bytes)
            for data, credit_bytes in buffer.read_all_complete_messages_flowcontrol()
        ]

    def _trailers_received(self, event: Any) -> list[Any]:
        return []  # gRPC has none in requests; what HTTP allows is no reason to fail

    def _stream_ended(self, event: Any) -> list[Any]:
        self._receiving.discard(event.stream_id)
        events: list[Any] = super()._stream_ended(event)
        return events

    def _stream_reset(self, event: Any) -> list[Any]:
        self._receiving.discard(event.stream_id)
        self.message_read_buffers.pop(event.stream_id, None)
        self.release(event.stream_id)
        return [StreamReset(event.stream_id)]

    def _connection_terminated(self, event: Any) -> list[Any]:
        return [PeerLeaves()]

    def _refused(self, stream_id: int, code: StatusCode, message: str) -> StreamRefused:
        self.message_read_buffers.pop(stream_id, None)
        self.release(stream_id)
        return StreamRefused(stream_id, Status(code, message))


class _BoundedReadBuffer(MessageReadBuffer):  # type: ignore[misc]
    """Inflates a message only as far as its size may go."""

    def decompress(self, data: bytes) -> bytes:
        if self._message_encoding not in ("gzip", "deflate"):
            raise UnsupportedMessageEncodingError(
                f"grpc-encoding {self._message_encoding!r} is not supported; send identity, gzip "
                "or deflate"
            )
        inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        inflated = inflater.decompress(data, self._max_message_length + 1)
        if len(inflated) > self._max_message_length:
            raise MessageTooLargeError(
                f"a message inflates to more than {self._max_message_length} bytes"
            )
        if not inflater.eof:
            raise zlib.error("it ends too early")
        return inflated


def frame_message(data: bytes) -> bytes:
    """Put gRPC's prefix (not compressed, length) before a message."""
    return struct.pack(">BI", 0, len(data)) + data


def goaway_frame(last_stream_id: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> bytes:
    """Encode a GOAWAY.

    By hand, because h2 3.2 takes a GOAWAY for the end of the connection and then refuses to send
    the replies that are still due.
    """
    payload = struct.pack(">II", last_stream_id, code)
    return struct.pack(">I", len(payload))[1:] + b"\x07\x00" + struct.pack(">I", 0) + payload
