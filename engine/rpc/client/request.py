"""The header blocks of requests."""

from collections.abc import Sequence

from engine.rpc.client.options import ChannelOptions
from engine.rpc.http2.header_blocks import encode_headers
from engine.rpc.http2.messages import ACCEPTED_ENCODINGS
from engine.rpc.http2.metadata import encode_metadata, format_timeout

Metadata = Sequence[tuple[str, str | bytes]]


class RequestHeaders:
    """Encodes the headers of a channel's calls; what calls to one path share, only once."""

    def __init__(self, authority: str, options: ChannelOptions) -> None:
        self._fields = [
            (b":method", b"POST"),
            (b":scheme", b"http" if options.tls is None else b"https"),
            (b":authority", authority.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", b"grpc-python-trellis/1"),
            (b"grpc-accept-encoding", ACCEPTED_ENCODINGS),
        ]
        if options.encoding != "identity":
            self._fields.append((b"grpc-encoding", options.encoding.encode()))
        if options.bearer_token is not None:
            self._fields.append((b"authorization", b"Bearer " + options.bearer_token.encode()))
        self._encoded: dict[str, bytes] = {}

    def encode(self, path: str, timeout_s: float | None, metadata: Metadata) -> bytes:
        """Return the block that opens a call. Raises ValueError for metadata no one can send."""
        block = self._encoded.get(path)
        if block is None:
            path_field = (b":path", path.encode())
            block = encode_headers([*self._fields[:2], path_field, *self._fields[2:]])
            self._encoded[path] = block
        if timeout_s is not None:
            block += encode_headers([(b"grpc-timeout", format_timeout(timeout_s))])
        if metadata:
            block += encode_headers(encode_metadata(metadata))
        return block
