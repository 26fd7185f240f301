"""What a connection may cost, and the counters that tell a flood from use."""

import attrs

from engine.rpc.http2.frames import DEFAULT_MAX_FRAME_BYTES, DEFAULT_WINDOW_BYTES, MAX_WINDOW


@attrs.frozen(kw_only=True)
class Http2Limits:
    """Bounds that one connection is held to. Rates are frames a second over one-second windows."""

    max_concurrent_streams: int = attrs.field(default=100, validator=attrs.validators.ge(1))

    # Large enough for a peer to send at full rate until our credit, a quarter of it, arrives.
    stream_window_bytes: int = attrs.field(
        default=1 << 20,
        validator=[attrs.validators.ge(DEFAULT_WINDOW_BYTES), attrs.validators.le(MAX_WINDOW)],
    )
    # Bytes of all requests in memory: received, and not yet taken by a handler.
    connection_window_bytes: int = attrs.field(
        default=64 << 20,
        validator=[attrs.validators.ge(DEFAULT_WINDOW_BYTES), attrs.validators.le(MAX_WINDOW)],
    )
    # The cost of receiving is per frame, but what a read cuts short is copied again: a quarter of
    # a read measures best. Bounds the parse buffer.
    max_frame_bytes: int = attrs.field(
        default=32 << 10, validator=attrs.validators.ge(DEFAULT_MAX_FRAME_BYTES)
    )
    max_header_list_bytes: int = 16 << 10
    # The block as it is on the wire; Huffman coding only ever makes it smaller than the list.
    max_header_block_bytes: int = 16 << 10
    # A block of 16 KiB fits in one frame, so a peer that needs more than a few is not using them.
    max_continuations: int = 8

    # Bytes ready for the socket before streams wait for their turn.
    output_high_water_bytes: int = 2 << 20

    # A cancelled call is a reset, so busy clients with short deadlines do send them.
    max_resets_per_s: int = 400
    # Those that follow data of ours are not counted: gRPC clients measure bandwidth by them.
    max_pings_per_s: int = 200
    max_settings_per_s: int = 20
    max_empty_data_per_s: int = 100
    # Beyond the two that a client owes for each DATA frame of ours.
    max_window_updates_per_s: int = 20_000
    max_ignored_frames_per_s: int = 1_000


class RateLimit:
    """Counts events in windows of one second."""

    __slots__ = ("_count", "_limit", "_window_start_s")

    def __init__(self, limit_per_s: int) -> None:
        self._limit = limit_per_s
        self._count = 0
        self._window_start_s = float("-inf")

    def exceeded(self, now_s: float) -> bool:
        """Count one event at `now_s`, any steady clock; true once there are too many."""
        if now_s - self._window_start_s >= 1.0:
            self._window_start_s = now_s
            self._count = 0
        self._count += 1
        return self._count > self._limit
