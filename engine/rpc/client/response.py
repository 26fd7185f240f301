"""One call's response, put together from events; no I/O, so that both channels share it."""

from collections import deque
from typing import Final

from purerpc import RpcFailedError, Status, StatusCode
from purerpc.grpclib.exceptions import raise_status

from engine.rpc.http2.frames import ErrorCode
from engine.rpc.http2.heads import ResponseHead
from engine.rpc.http2.messages import (
    ENCODINGS,
    MessageError,
    MessageReader,
    MessageTooLargeError,
)
from engine.rpc.http2.metadata import Metadata

_STATUS_OF_HTTP: Final = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}
_STATUS_OF_RESET: Final = {
    ErrorCode.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}


def failure_of(status: Status, trailing_metadata: Metadata = ()) -> RpcFailedError:
    """Return purerpc's exception for a status; it carries the trailing metadata with it."""
    try:
        raise_status(status)
    except RpcFailedError as error:
        error.trailing_metadata = trailing_metadata
        return error.with_traceback(None)
    raise AssertionError("OK is no failure")


class Response:
    """What has come of a response so far.

    `status` is None until the call has ended, for whatever reason; the first reason counts.
    """

    __slots__ = (
        "_head_received",
        "_message_bytes_max",
        "_reader",
        "initial_metadata",
        "messages",
        "status",
        "trailing_metadata",
    )

    def __init__(self, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._reader = MessageReader("identity", message_bytes_max)
        self._head_received = False
        self.messages: deque[bytes] = deque()
        self.initial_metadata: Metadata = ()
        self.trailing_metadata: Metadata = ()
        self.status: Status | None = None

    @property
    def incomplete_bytes(self) -> int:
        """Bytes of a message that has not arrived whole."""
        return self._reader.buffered_bytes

    def end(self, status: Status) -> None:
        """End the call, unless it has ended already."""
        if self.status is None:
            self.status = status

    def fail(self, code: StatusCode, message: str) -> None:
        """End the call with an error of this side."""
        self.end(Status(code, message))

    def take_head(self, head: ResponseHead, *, ended: bool) -> None:
        """Take a header block."""
        if head.informational:
            return
        if not self._head_received:
            self._head_received = True
            if head.http_status != 200 and head.grpc_status is None:
                code = _STATUS_OF_HTTP.get(head.http_status, StatusCode.UNKNOWN)
                self.fail(code, f"the server answered with HTTP status {head.http_status}")
                return
            if not head.content_type.startswith("application/grpc") and head.grpc_status is None:
                self.fail(StatusCode.UNKNOWN, f"{head.content_type[:50]!r} is not gRPC")
                return
            if head.encoding != "identity":
                if head.encoding not in ENCODINGS:
                    self.fail(StatusCode.INTERNAL, f"grpc-encoding {head.encoding[:50]!r}")
                    return
                self._reader = MessageReader(head.encoding, self._message_bytes_max)
            if not ended:
                self.initial_metadata = head.metadata
                return
        self.trailing_metadata = head.metadata
        if head.grpc_status is None:
            self.fail(StatusCode.UNKNOWN, "the response has no grpc-status")
        elif self._reader.buffered_bytes:
            self.fail(StatusCode.INTERNAL, "the response ends within a message")
        else:
            self.end(Status(head.grpc_status, head.grpc_message))

    def take_data(self, data: bytes, *, ended: bool) -> None:
        """Take a part of the body."""
        if self.status is not None:
            return
        try:
            self.messages.extend(self._reader.feed(data))
        except MessageTooLargeError as error:
            self.fail(StatusCode.RESOURCE_EXHAUSTED, str(error))
        except MessageError as error:
            self.fail(StatusCode.INTERNAL, str(error))
        if ended:
            self.fail(StatusCode.INTERNAL, "the response ends without trailers")

    def take_reset(self, code: int) -> None:
        """The stream was reset."""
        known = code in frozenset(ErrorCode)
        name = ErrorCode(code).name if known else str(code)
        status = _STATUS_OF_RESET.get(ErrorCode(code)) if known else None
        self.fail(status or StatusCode.INTERNAL, f"the server reset the call ({name})")
