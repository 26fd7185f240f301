"""Cuts received bytes into frames, and puts header blocks together.

Parsed by hand and from one buffer: this is the hottest loop of a server. A header block that comes
in HEADERS and CONTINUATION frames leaves as one HEADERS frame with END_HEADERS, without padding and
priority, so that nothing else knows of the pieces.
"""

from collections.abc import Iterator
from typing import NamedTuple

from engine.rpc.http2 import frames
from engine.rpc.http2.frames import ErrorCode
from engine.rpc.http2.limits import Http2Limits


class BrokenRuleError(Exception):
    """The peer broke a rule that ends the connection."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Frame(NamedTuple):
    """One frame; `stream_id` without its reserved bit."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


class FrameReader:
    """The bytes of one connection. All its errors are `BrokenRuleError`.

    Args:
      preface: what must come before the first frame; nothing on a client's side.
    """

    def __init__(self, limits: Http2Limits, preface: bytes) -> None:
        self._limits = limits
        self._preface_missing = preface
        self._settings_seen = False
        self._unparsed = bytearray()
        self._unparsed_needs = 0
        # A header block that CONTINUATION frames have yet to complete.
        self._block_stream_id = 0
        self._block_flags = 0
        self._block_parts: list[bytes] = []
        self._block_bytes = 0

    @property
    def awaits_rest(self) -> bool:
        """True while the peer owes something it began: preface, frame or header block."""
        return bool(self._preface_missing or self._unparsed or self._block_stream_id)

    def read(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes, each before what follows it is looked at."""
        if self._preface_missing:
            data = self._read_preface(data)
        if self._unparsed:
            if len(self._unparsed) + len(data) < self._unparsed_needs:
                self._unparsed += data
                return
            data = b"".join((self._unparsed, data))
            self._unparsed = bytearray()
        max_frame_bytes = self._limits.max_frame_bytes
        unpack = frames.FRAME_HEADER.unpack_from
        position = 0
        end = len(data)
        needs = frames.FRAME_HEADER_BYTES
        while end - position >= frames.FRAME_HEADER_BYTES:
            upper, lower, kind, flags, stream_id = unpack(data, position)
            length = upper << 8 | lower
            if length > max_frame_bytes:
                raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "a frame is too large")
            start = position + frames.FRAME_HEADER_BYTES
            if end - start < length:
                needs = frames.FRAME_HEADER_BYTES + length
                break
            position = start + length
            frame = Frame(kind, flags, stream_id & frames.MAX_STREAM_ID, data[start:position])
            if kind == frames.DATA and self._settings_seen and not self._block_stream_id:
                yield frame
            elif (checked := self._check(frame)) is not None:
                yield checked
        if position < end:
            self._unparsed += data[position:] if position else data
            self._unparsed_needs = needs

    def _read_preface(self, data: bytes) -> bytes:
        expected = self._preface_missing[: len(data)]
        if not data.startswith(expected):
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "the preface is not HTTP/2's")
        self._preface_missing = self._preface_missing[len(expected) :]
        return data[len(expected) :]

    def _check(self, frame: Frame) -> Frame | None:
        """Return what the frame is to others: itself, a whole header block, or nothing yet."""
        kind, flags = frame.kind, frame.flags
        if not self._settings_seen:
            if kind != frames.SETTINGS or flags & frames.FLAG_ACK:
                raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")
            self._settings_seen = True
        if self._block_stream_id:
            return self._continue_block(frame)
        if kind == frames.HEADERS:
            return self._open_block(frame)
        if kind == frames.CONTINUATION:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        return frame

    def _open_block(self, frame: Frame) -> Frame | None:
        kind, flags, stream_id, block = frame
        if not stream_id:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & frames.FLAG_PADDED:
            block = strip_padding(block)
        if flags & frames.FLAG_PRIORITY:
            if len(block) < frames.PRIORITY_BYTES:
                raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short")
            if frames.unpack_uint32(block) & frames.MAX_STREAM_ID == stream_id:
                raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
            block = block[frames.PRIORITY_BYTES :]
        self._block_bytes = 0
        self._limit_block(block)
        if flags & frames.FLAG_END_HEADERS:
            return Frame(kind, flags, stream_id, block)
        self._block_stream_id = stream_id
        self._block_flags = flags | frames.FLAG_END_HEADERS
        self._block_parts.append(block)
        return None

    def _continue_block(self, frame: Frame) -> Frame | None:
        kind, flags, stream_id, fragment = frame
        if kind != frames.CONTINUATION or stream_id != self._block_stream_id:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        self._limit_block(fragment)
        if len(self._block_parts) > self._limits.max_continuations:
            raise BrokenRuleError(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames")
        self._block_parts.append(fragment)
        if not flags & frames.FLAG_END_HEADERS:
            return None
        block = b"".join(self._block_parts)
        self._block_parts.clear()
        self._block_stream_id = 0
        return Frame(frames.HEADERS, self._block_flags, stream_id, block)

    def _limit_block(self, fragment: bytes) -> None:
        self._block_bytes += len(fragment)
        if self._block_bytes > self._limits.max_header_block_bytes:
            raise BrokenRuleError(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large")


def strip_padding(payload: bytes) -> bytes:
    """Return the payload of a padded frame. Raises BrokenRuleError if it is all padding."""
    if not payload or payload[0] >= len(payload):
        raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
