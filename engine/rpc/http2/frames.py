"""HTTP/2 frames on the wire (RFC 9113, sections 4, 6 and 7): constants and serialising.

Parsing is in `frame_reader`, by hand and from one buffer: it is the hottest code of a server.
"""

import enum
import struct
from collections.abc import Mapping
from typing import Final

CLIENT_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

FRAME_HEADER_BYTES: Final = 9
FRAME_HEADER: Final = struct.Struct(">HBBBL")
"""Length (its upper 16 bits, then its lower 8), type, flags, stream."""

# Plain integers: an enum's member costs a look-up per frame.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

FLAG_ACK: Final = 0x1
FLAG_END_STREAM: Final = 0x1
FLAG_END_HEADERS: Final = 0x4
FLAG_PADDED: Final = 0x8
FLAG_PRIORITY: Final = 0x20

PRIORITY_BYTES: Final = 5

MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1
DEFAULT_WINDOW_BYTES: Final = 65_535
DEFAULT_MAX_FRAME_BYTES: Final = 16_384
LARGEST_MAX_FRAME_BYTES: Final = 2**24 - 1
DEFAULT_HEADER_TABLE_BYTES: Final = 4_096


class ErrorCode(enum.IntEnum):
    """Why a stream was reset or a connection closed (RFC 9113, section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(enum.IntEnum):
    """Parameters of a SETTINGS frame (RFC 9113, section 6.5.2)."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


_UINT32 = struct.Struct(">L")
_SETTING = struct.Struct(">HL")
_GOAWAY = struct.Struct(">LL")
_WINDOW_UPDATE = struct.Struct(">HBBBLL")


def pack_frame_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the nine bytes that precede a frame's payload of `length` bytes."""
    return FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id)


def pack_settings(settings: Mapping[Setting, int]) -> bytes:
    """Return a SETTINGS frame."""
    payload = b"".join(_SETTING.pack(setting, value) for setting, value in settings.items())
    return pack_frame_header(len(payload), SETTINGS, 0, 0) + payload


def unpack_settings(payload: bytes) -> list[tuple[int, int]]:
    """Return (parameter, value) in the order sent; `payload` is a multiple of six bytes."""
    return list(_SETTING.iter_unpack(payload))


SETTINGS_ACK: Final = pack_frame_header(0, SETTINGS, FLAG_ACK, 0)


def pack_ping(payload: bytes, *, ack: bool) -> bytes:
    """Return a PING frame; `payload` has eight bytes."""
    return pack_frame_header(8, PING, FLAG_ACK if ack else 0, 0) + payload


def pack_window_update(stream_id: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return _WINDOW_UPDATE.pack(0, 4, WINDOW_UPDATE, 0, stream_id, increment)


def pack_rst_stream(stream_id: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return pack_frame_header(4, RST_STREAM, 0, stream_id) + _UINT32.pack(code)


def pack_goaway(last_stream_id: int, code: int, debug: bytes) -> bytes:
    """Return a GOAWAY frame."""
    payload = _GOAWAY.pack(last_stream_id, code) + debug
    return pack_frame_header(len(payload), GOAWAY, 0, 0) + payload


def unpack_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Return (last stream, error code, debug data); `payload` has at least eight bytes."""
    last_stream_id, code = _GOAWAY.unpack_from(payload)
    return last_stream_id & MAX_STREAM_ID, code, payload[8:]


def unpack_uint32(payload: bytes) -> int:
    """Return the number that starts `payload`, which has at least four bytes."""
    value: int = _UINT32.unpack_from(payload)[0]
    return value


def pack_headers(stream_id: int, block: bytes, *, end_stream: bool, max_frame_bytes: int) -> bytes:
    """Return a header block as HEADERS and as many CONTINUATION frames as it needs."""
    flags = FLAG_END_STREAM if end_stream else 0
    if len(block) <= max_frame_bytes:
        return pack_frame_header(len(block), HEADERS, flags | FLAG_END_HEADERS, stream_id) + block
    parts = [pack_frame_header(max_frame_bytes, HEADERS, flags, stream_id), block[:max_frame_bytes]]
    for start in range(max_frame_bytes, len(block), max_frame_bytes):
        fragment = block[start : start + max_frame_bytes]
        last = start + max_frame_bytes >= len(block)
        flags = FLAG_END_HEADERS if last else 0
        parts += (pack_frame_header(len(fragment), CONTINUATION, flags, stream_id), fragment)
    return b"".join(parts)
