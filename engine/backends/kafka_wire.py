"""The two Kafka requests that ask a broker whether it is there and who it is: bytes only.

A probe needs no client library, which would bring its own event loop, retries and log lines.
"""

import struct
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_API_VERSIONS = 18
_METADATA = 3
_CLIENT_ID = b"trellis-probe"
_CORRELATION_ID = 1
MAX_REPLY_BYTES = 65_536
"""Both replies take about 300 bytes; a length beyond this says that no Kafka broker answers."""


class KafkaReplyError(ValueError):
    """The bytes are not the reply of a Kafka broker."""


def encode_api_versions() -> bytes:
    """Return an ApiVersions request, version 0: every broker answers it, even before a log-in."""
    return _frame(_API_VERSIONS, 0, b"")


def decode_api_versions(reply: bytes) -> int:
    """Return how many kinds of request the broker knows.

    Raises:
      KafkaReplyError: it is not such a reply, or an error.
    """

    def read() -> int:
        correlation_id, error, count = struct.unpack_from(">ihi", reply)
        _expect(correlation_id == _CORRELATION_ID and error == 0)
        _expect(len(reply) == 10 + 6 * count)
        return int(count)

    return _guarded(read)


def encode_cluster_query() -> bytes:
    """Return a Metadata request, version 2, for no topic: the brokers and the cluster's id."""
    return _frame(_METADATA, 2, struct.pack(">i", 0))


def decode_cluster_id(reply: bytes) -> str | None:
    """Return the cluster id in the reply to `encode_cluster_query`.

    Raises:
      KafkaReplyError: it is not such a reply.
    """

    def read() -> str | None:
        correlation_id, brokers = struct.unpack_from(">ii", reply)
        _expect(correlation_id == _CORRELATION_ID and 0 <= brokers <= len(reply))
        at = 8
        for _ in range(brokers):
            at += 4  # node id
            _, at = _read_string(reply, at)  # host
            at += 4  # port
            _, at = _read_string(reply, at)  # rack
        return _read_string(reply, at)[0]

    return _guarded(read)


def decode_length(prefix: bytes) -> int:
    """Return how many bytes of reply follow the four of its length.

    Raises:
      KafkaReplyError: more than a probe's reply can have.
    """
    length = int.from_bytes(prefix, "big", signed=True)
    if not 4 <= length <= MAX_REPLY_BYTES:
        raise KafkaReplyError("not a Kafka reply")
    return length


def _frame(api_key: int, version: int, body: bytes) -> bytes:
    header = struct.pack(">hhih", api_key, version, _CORRELATION_ID, len(_CLIENT_ID)) + _CLIENT_ID
    return struct.pack(">i", len(header) + len(body)) + header + body


def _read_string(reply: bytes, at: int) -> tuple[str | None, int]:
    (length,) = struct.unpack_from(">h", reply, at)
    at += 2
    if length < 0:
        return None, at
    _expect(at + length <= len(reply))
    return reply[at : at + length].decode(), at + length


def _expect(holds: bool) -> None:
    if not holds:
        raise KafkaReplyError("not a Kafka reply")


def _guarded(read: Callable[[], T]) -> T:
    try:
        return read()
    except (struct.error, UnicodeDecodeError) as error:
        raise KafkaReplyError("not a Kafka reply") from error
