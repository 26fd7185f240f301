"""gRPC's values in HTTP/2 headers: timeouts, status messages, metadata, fields' validity."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from engine.rpc.http2.header_blocks import Field

Metadata = tuple[tuple[str, str | bytes], ...]
"""Pairs of key and value; the values of keys that end in `-bin` are bytes, all others text."""

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE: Final = re.compile(rb"[^\x00\r\n]*")
_METADATA_KEY: Final = re.compile(r"[0-9a-z_.\-]+")
_METADATA_TEXT: Final = re.compile(r"[\x20-\x7e]*")

# Fields of HTTP/1 that make a request or response malformed (RFC 9113, section 8.2.2).
_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)

_UNIT_S: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MAX_TIMEOUT_DIGITS: Final = 99_999_999


def fault_of_field(name: bytes, value: bytes) -> str | None:
    """Return why a regular field makes its message malformed, or None if it does not."""
    if not _NAME.fullmatch(name):
        return "a field's name has invalid characters"
    if not _VALUE.fullmatch(value):
        return "a field's value has invalid characters"
    if name in _CONNECTION_SPECIFIC:
        return "a field belongs to HTTP/1"
    if name == b"te" and value != b"trailers":
        return "te is not trailers"
    return None


def parse_timeout(value: bytes) -> float | None:
    """Return a `grpc-timeout` in seconds, or None if it is malformed."""
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        return None
    digits, unit = match.groups()
    return int(digits) * _UNIT_S[unit.decode()]


def format_timeout(timeout_s: float) -> bytes:
    """Return a `grpc-timeout` of at least one nanosecond, in the finest unit that fits."""
    for unit in "num":
        count = int(timeout_s / _UNIT_S[unit])
        if count <= _MAX_TIMEOUT_DIGITS:
            return b"%d%s" % (max(count, 1), unit.encode())
    return b"%dS" % min(int(timeout_s), _MAX_TIMEOUT_DIGITS)


def encode_status_message(message: str) -> bytes:
    """Return a `grpc-message`: percent-encoded UTF-8."""
    safe = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
    return quote_from_bytes(message.encode("utf-8", "backslashreplace"), safe=safe).encode()


def decode_status_message(value: bytes) -> str:
    """Return the text of a `grpc-message`; what cannot be decoded is replaced, never refused."""
    return unquote_to_bytes(value).decode("utf-8", "replace")


def encode_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> list[Field]:
    """Return metadata as fields.

    Raises:
      ValueError: a key is reserved or has other characters than 0-9 a-z _ . -, or a value has
        the wrong type or characters for its key.
    """
    fields: list[Field] = []
    for key, value in metadata:
        if not _METADATA_KEY.fullmatch(key) or key.startswith("grpc-"):
            raise ValueError(f"{key!r} cannot be a metadata key")
        if key.endswith("-bin"):
            if not isinstance(value, bytes):
                raise ValueError(f"metadata {key!r} takes bytes, as its key ends in -bin")
            fields.append((key.encode(), base64.b64encode(value).rstrip(b"=")))
        else:
            if not isinstance(value, str) or not _METADATA_TEXT.fullmatch(value):
                raise ValueError(f"metadata {key!r} takes printable ASCII text")
            fields.append((key.encode(), value.strip(" ").encode()))
    return fields


def decode_metadata(fields: Iterable[Field]) -> Metadata:
    """Return fields as metadata; binary values that are no Base64 are dropped."""
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        key = name.decode("ascii")
        if not key.endswith("-bin"):
            metadata.append((key, value.decode("latin-1")))
            continue
        for part in value.split(b","):
            try:
                metadata.append((key, base64.b64decode(part + b"=" * (-len(part) % 4))))
            except binascii.Error:
                continue
    return tuple(metadata)
