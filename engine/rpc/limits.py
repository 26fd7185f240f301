"""What a peer may take of a server."""

import attrs


@attrs.frozen
class TransportLimits:
    """Bounds of one connection.

    `message_bytes_max`: size of one message, either way, after inflation; the default is what
    gRPC clients accept by default. `streams_max`: calls at once on one connection. `linger_s`: how
    long a drained connection waits for its peer to read the last replies and leave.
    """

    message_bytes_max: int = 4 * 1024 * 1024
    streams_max: int = 1_000
    linger_s: float = 1.0
