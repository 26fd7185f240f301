"""What happened on a connection, in the order it happened.

Named tuples: immutable, and four times cheaper to make than frozen classes.
"""

from typing import Generic, NamedTuple, Protocol, TypeVar


class Head(Protocol):
    """What the protocol must know of a decoded header block; the rest is the codec user's."""

    @property
    def opening_fault(self) -> str | None:
        """Why the block may not open a request or response, if it may not."""

    @property
    def trailing_fault(self) -> str | None:
        """Why the block may not end one, if it may not."""

    @property
    def informational(self) -> bool:
        """True for a response that announces another (status 1xx)."""

    @property
    def content_length(self) -> int | None:
        """The announced size of the body."""


H = TypeVar("H", bound=Head)


class HeadersReceived(NamedTuple, Generic[H]):
    """A header block: a request's or response's first, or the trailers after its data."""

    stream_id: int
    head: H
    ended: bool


class HeadersTooLarge(NamedTuple):
    """A header list over the limit; its fields were dropped."""

    stream_id: int
    ended: bool


class DataReceived(NamedTuple):
    """A part of a body. Its bytes stay debited from the windows until they are credited."""

    stream_id: int
    data: bytes
    ended: bool


class StreamReset(NamedTuple):
    """A stream ended before its time: by the peer, or by us because of the peer's error."""

    stream_id: int
    code: int
    by_peer: bool


class PingAcknowledged(NamedTuple):
    """The peer answered a ping."""

    payload: bytes


class PeerGoesAway(NamedTuple):
    """The peer takes no new streams; those above `last_stream_id` were not processed."""

    last_stream_id: int
    code: int
    debug: bytes


class PeerSettingsChanged(NamedTuple):
    """The peer's settings arrived; its limit of concurrent streams may have changed."""


class ConnectionFailed(NamedTuple):
    """The peer broke the protocol or a limit. A GOAWAY is in the output; nothing more is read."""

    code: int
    reason: str


Event = (
    HeadersReceived[H]
    | HeadersTooLarge
    | DataReceived
    | StreamReset
    | PingAcknowledged
    | PeerGoesAway
    | PeerSettingsChanged
    | ConnectionFailed
)
