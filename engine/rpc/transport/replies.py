"""The header blocks of replies, encoded once."""

from collections.abc import Sequence
from typing import Final

from purerpc import Status, StatusCode

from engine.rpc.http2.header_blocks import Field, encode_headers
from engine.rpc.http2.messages import ACCEPTED_ENCODINGS, ENCODINGS
from engine.rpc.http2.metadata import encode_metadata, encode_status_message
from engine.rpc.statuses import cut_message

_HEAD: Final[list[Field]] = [(b":status", b"200"), (b"content-type", b"application/grpc")]

REPLY_HEADERS: Final = {"identity": encode_headers(_HEAD)} | {
    encoding: encode_headers([*_HEAD, (b"grpc-encoding", encoding.encode())])
    for encoding in ENCODINGS
}
"""The block that opens a reply, by the encoding of its messages."""

TRAILERS_OK: Final = encode_headers([(b"grpc-status", b"0")])

ACCEPTED: Final[Field] = (b"grpc-accept-encoding", ACCEPTED_ENCODINGS)

Metadata = Sequence[tuple[str, str | bytes]]


def encode_reply_headers(encoding: str, metadata: Metadata) -> bytes:
    """Return the block that opens a reply. Raises ValueError for metadata that cannot be sent."""
    return REPLY_HEADERS[encoding] + encode_headers(encode_metadata(metadata))


def encode_trailers(status: Status, metadata: Metadata = (), *, opens: bool = False) -> bytes:
    """Return the block that ends a reply; `opens` if it is also its first (trailers-only).

    Raises:
      ValueError: metadata cannot be sent.
    """
    fields: list[Field] = list(_HEAD) if opens else []
    fields.append((b"grpc-status", b"%d" % status.int_value))
    if status.status_message:
        message = encode_status_message(cut_message(status.status_message))
        fields.append((b"grpc-message", message))
    if status.status_code is StatusCode.UNIMPLEMENTED:
        fields.append(ACCEPTED)
    fields += encode_metadata(metadata)
    return encode_headers(fields)


def encode_http_refusal(http_status: bytes) -> bytes:
    """Return the block that refuses a request that is HTTP but no gRPC."""
    return encode_headers([(b":status", http_status)])
