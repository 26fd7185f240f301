"""What the header blocks of gRPC requests and responses say.

A head is made once for each distinct block and shared by all calls that sent it, so heads are
frozen and know nothing of a single call.
"""

from collections.abc import Sequence

import attrs

from engine.rpc.http2.header_blocks import Field
from engine.rpc.http2.metadata import (
    Metadata,
    decode_metadata,
    decode_status_message,
    fault_of_field,
    parse_timeout,
)

_PSEUDO_OF_REQUESTS = frozenset((b":method", b":scheme", b":path", b":authority"))
_PSEUDO_OF_RESPONSES = frozenset((b":status",))
_NO_STATUS = -1


@attrs.frozen(kw_only=True)
class RequestHead:
    """A request's headers, or the trailers after its data.

    `refusal` is set for well-formed HTTP/2 that is no gRPC: the HTTP status to answer with.
    """

    opening_fault: str | None
    trailing_fault: str | None
    content_length: int | None
    refusal: bytes | None = None
    path: str = ""
    scheme: str = ""
    authority: str | None = None
    content_type: str = ""
    timeout_s: float | None = None
    timeout_fault: bool = False
    encoding: str = "identity"
    accepted_encodings: frozenset[str] = frozenset()
    user_agent: str | None = None
    metadata: Metadata = ()
    informational: bool = False


@attrs.frozen(kw_only=True)
class ResponseHead:
    """A response's headers, its trailers, or both at once (trailers-only)."""

    opening_fault: str | None
    trailing_fault: str | None
    content_length: int | None
    informational: bool
    http_status: int
    content_type: str
    encoding: str
    grpc_status: int | None
    grpc_message: str
    metadata: Metadata


@attrs.frozen
class _Split:
    pseudo: dict[bytes, bytes]
    known: dict[bytes, bytes]
    metadata: list[Field]
    fault: str | None
    content_length: int | None


_KNOWN = frozenset(
    (
        b"content-type",
        b"content-length",
        b"te",
        b"user-agent",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-message-type",
        b"grpc-status",
        b"grpc-message",
        b"accept-encoding",
        b"host",
    )
)


def _split(fields: Sequence[Field], allowed_pseudo: frozenset[bytes]) -> _Split:
    """Sort fields into pseudo, known and metadata, and note the first breach of section 8."""
    pseudo: dict[bytes, bytes] = {}
    known: dict[bytes, bytes] = {}
    metadata: list[Field] = []
    fault: str | None = None
    regular_seen = False
    content_length: int | None = None
    for name, value in fields:
        if name.startswith(b":"):
            if regular_seen or name not in allowed_pseudo or name in pseudo:
                fault = fault or "a pseudo-header is misplaced"
            pseudo[name] = value
            continue
        regular_seen = True
        fault = fault or fault_of_field(name, value)
        if name in _KNOWN:
            known[name] = value
        elif fault is None:
            metadata.append((name, value))
    length = known.get(b"content-length")
    if length is not None:
        if length.isdigit() and len(length) < 16:
            content_length = int(length)
        else:
            fault = fault or "content-length is no number"
    return _Split(pseudo, known, metadata, fault, content_length)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def read_request_head(fields: Sequence[Field]) -> RequestHead:
    """Interpret a block that a client sent."""
    parts = _split(fields, _PSEUDO_OF_REQUESTS)
    trailing_fault = parts.fault or ("trailers have pseudo-headers" if parts.pseudo else None)
    opening_fault = parts.fault
    pseudo, known = parts.pseudo, parts.known
    method, scheme, path = (pseudo.get(name) for name in (b":method", b":scheme", b":path"))
    if opening_fault is None and not (method and scheme and path):
        opening_fault = "a pseudo-header is missing"
    if opening_fault is not None or method is None or scheme is None or path is None:
        return RequestHead(
            opening_fault=opening_fault,
            trailing_fault=trailing_fault,
            content_length=parts.content_length,
        )
    content_type = known.get(b"content-type", b"")
    refusal: bytes | None = None
    if method != b"POST":
        refusal = b"405"
    elif not content_type.startswith(b"application/grpc"):
        refusal = b"415"
    timeout = known.get(b"grpc-timeout")
    timeout_s = None if timeout is None else parse_timeout(timeout)
    accepted = known.get(b"grpc-accept-encoding", b"").decode("latin-1")
    return RequestHead(
        opening_fault=None,
        trailing_fault=trailing_fault,
        content_length=parts.content_length,
        refusal=refusal,
        path=path.decode("latin-1"),
        scheme=scheme.decode("latin-1"),
        authority=_text(pseudo.get(b":authority")) or _text(known.get(b"host")),
        content_type=content_type.decode("latin-1"),
        timeout_s=timeout_s,
        timeout_fault=timeout is not None and timeout_s is None,
        encoding=known.get(b"grpc-encoding", b"identity").decode("latin-1"),
        accepted_encodings=frozenset(part.strip() for part in accepted.split(",")),
        user_agent=_text(known.get(b"user-agent")),
        metadata=decode_metadata(parts.metadata),
    )


def read_response_head(fields: Sequence[Field]) -> ResponseHead:
    """Interpret a block that a server sent."""
    parts = _split(fields, _PSEUDO_OF_RESPONSES)
    known = parts.known
    status_text = parts.pseudo.get(b":status", b"")
    opening_fault = parts.fault
    http_status = _NO_STATUS
    if len(status_text) == 3 and status_text.isdigit():
        http_status = int(status_text)
    else:
        opening_fault = opening_fault or "the status is missing"
    grpc_status: int | None = None
    status = known.get(b"grpc-status")
    if status is not None:
        grpc_status = int(status) if status.isdigit() and len(status) <= 3 else _NO_STATUS
    return ResponseHead(
        opening_fault=opening_fault,
        trailing_fault=parts.fault or ("trailers have a status" if parts.pseudo else None),
        content_length=parts.content_length,
        informational=100 <= http_status < 200,
        http_status=http_status,
        content_type=known.get(b"content-type", b"").decode("latin-1"),
        encoding=known.get(b"grpc-encoding", b"identity").decode("latin-1"),
        grpc_status=grpc_status,
        grpc_message=decode_status_message(known.get(b"grpc-message", b"")),
        metadata=decode_metadata(parts.metadata),
    )
