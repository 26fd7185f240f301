"""What a peer may take of a server."""

import attrs

from engine.rpc.http2.limits import Http2Limits


@attrs.frozen
class TransportLimits:
    """Bounds of one connection; times in seconds.

    `message_bytes_max`: size of one message, either way, after inflation; the default is what
    gRPC clients accept by default. `streams_max`: calls at once on one connection. `linger_s`: how
    long a drained connection waits for its peer to read the last replies and leave.
    """

    message_bytes_max: int = 4 * 1024 * 1024
    streams_max: int = 1_000
    linger_s: float = 1.0

    connections_max: int = 10_000
    # Replies that wait for the peer to read; past it, its further calls are refused.
    unread_reply_bytes_max: int = 64 << 20
    # From accept to the peer's SETTINGS, TLS included.
    handshake_timeout_s: float = 10.0
    # From a frame's first byte to its last: 64 KiB in this time is a very slow link.
    frame_timeout_s: float = 30.0
    # From a unary call's headers to its message's last byte.
    request_timeout_s: float = 120.0
    # Without any call, a connection is drained and closed.
    idle_timeout_s: float = 900.0
    # With calls under way and silence for this long, a ping finds out whether the peer lives.
    keepalive_s: float = 30.0
    keepalive_timeout_s: float = 20.0
    # A peer that takes not one byte of what waits for it.
    stall_timeout_s: float = 60.0

    @property
    def http2(self) -> Http2Limits:
        """The part that the protocol enforces."""
        return Http2Limits(max_concurrent_streams=self.streams_max)
