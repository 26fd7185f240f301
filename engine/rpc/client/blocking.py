"""A channel for plain code: blocking calls on one socket, no event loop, no thread.

Made for worker processes. One call runs at a time; other threads wait for their turn, so give a
thread that must not wait a channel of its own. Open it after a fork, never before.
"""

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from purerpc import Status, StatusCode

from engine.rpc.client.connection import open_client_codec
from engine.rpc.client.options import ChannelOptions, backoff_delays
from engine.rpc.client.request import Metadata, RequestHeaders
from engine.rpc.client.response import Response, failure_of
from engine.rpc.http2.codec import Codec
from engine.rpc.http2.events import (
    ConnectionFailed,
    DataReceived,
    HeadersReceived,
    HeadersTooLarge,
    PeerGoesAway,
    StreamReset,
)
from engine.rpc.http2.frames import ErrorCode
from engine.rpc.http2.heads import ResponseHead
from engine.rpc.http2.messages import frame_message

M = TypeVar("M", bound=Message)
_UNSET: Any = object()
_RECEIVE_BYTES: Final = 128 << 10
_SEND_AHEAD_BYTES: Final = 64 << 10


class _LostError(Exception):
    """The connection is gone."""


class _TimeUpError(Exception):
    """The call's time is up."""


class _Link:
    """One connection, with at most one call on it."""

    def __init__(self, host: str, port: int, options: ChannelOptions, deadline_s: float) -> None:
        timeout_s = min(options.connect_timeout_s, max(deadline_s - time.monotonic(), 0.001))
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if options.tls is not None:
                self._socket = options.tls.wrap_socket(
                    self._socket, server_hostname=options.tls_name or host
                )
                if self._socket.selected_alpn_protocol() != "h2":
                    raise _LostError("the server does not offer HTTP/2 (ALPN h2)")
        except OSError as error:
            raise _LostError(f"cannot connect to {host}:{port}: {error}") from None
        self.codec: Codec[ResponseHead] = open_client_codec(options)
        self.going_away = False
        self._stream_id = 0
        self._response: Response | None = None
        try:
            while not self.codec.established:
                self.exchange(deadline_s)
        except BaseException:
            self.close()
            raise

    def begin(self, headers: bytes, message_bytes_max: int) -> Response:
        """Open the stream of a call."""
        self._stream_id = self.codec.open_stream()
        self._response = Response(message_bytes_max)
        self.codec.send_headers(self._stream_id, headers)
        return self._response

    def send(self, message: bytes, encoding: str, deadline_s: float, *, last: bool) -> None:
        """Send a message of the call as far as the server's windows allow."""
        *first, end = frame_message(message, encoding)
        for part in first:
            self.codec.send_data(self._stream_id, part)
        self.codec.send_data(self._stream_id, end, end_stream=last)
        self.write(deadline_s)
        while self.codec.stream_queued_bytes(self._stream_id) > _SEND_AHEAD_BYTES:
            self.exchange(deadline_s)

    def end_request(self, deadline_s: float) -> None:
        """Say that no message follows."""
        self.codec.send_data(self._stream_id, b"", end_stream=True)
        self.write(deadline_s)

    def end_call(self) -> None:
        """Leave the call; if it has not ended, the server is told to stop."""
        self.codec.reset_stream(self._stream_id, ErrorCode.CANCEL)
        self._response = None
        if self.codec.stream_ids_exhausted:
            self.going_away = True

    def exchange(self, deadline_s: float) -> None:
        """Write what is ready, wait for something to come, and take it."""
        self.write(deadline_s)
        self._socket.settimeout(self._remaining_s(deadline_s))
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise _TimeUpError from None
        except OSError as error:
            raise _LostError(str(error)) from None
        if not data:
            raise _LostError("the server closed the connection")
        for event in self.codec.receive(data, time.monotonic()):
            self._handle(event)
        self.write(deadline_s)

    def is_alive(self) -> bool:
        """Take what came while no call was under way; return whether a call may begin."""
        try:
            while not self.going_away and self._has_arrived():
                self.exchange(time.monotonic() + 1.0)
        except (_LostError, _TimeUpError):
            return False
        return not self.going_away

    def _has_arrived(self) -> bool:
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select([self._socket], [], [], 0)[0])

    def _handle(self, event: Any) -> None:
        response = self._response
        if isinstance(event, ConnectionFailed):
            with contextlib.suppress(_LostError, _TimeUpError):
                self.write(time.monotonic() + 1.0)
            raise _LostError(f"the server broke the protocol: {event.reason}")
        if isinstance(event, PeerGoesAway):
            self.going_away = True
            if response is not None and self._stream_id > event.last_stream_id:
                raise _LostError("the server is going away and did not process the call")
        elif isinstance(event, DataReceived):
            # One call, one reader: what is read is taken, so the windows stay open.
            self.codec.credit_connection(len(event.data))
            self.codec.credit_stream(event.stream_id, len(event.data))
        if response is None or getattr(event, "stream_id", None) != self._stream_id:
            return
        if isinstance(event, HeadersReceived):
            response.take_head(event.head, ended=event.ended)
        elif isinstance(event, DataReceived):
            response.take_data(event.data, ended=event.ended)
        elif isinstance(event, StreamReset):
            response.take_reset(event.code)
        elif isinstance(event, HeadersTooLarge):
            response.take_reset(ErrorCode.ENHANCE_YOUR_CALM)

    def write(self, deadline_s: float) -> None:
        """Write what is ready."""
        while data := b"".join(self.codec.take_output()):
            self._socket.settimeout(self._remaining_s(deadline_s))
            try:
                self._socket.sendall(data)
            except TimeoutError:
                raise _LostError("the server does not read") from None
            except OSError as error:
                raise _LostError(str(error)) from None

    @staticmethod
    def _remaining_s(deadline_s: float) -> float | None:
        if deadline_s == float("inf"):
            return None
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise _TimeUpError
        return remaining_s

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    @property
    def descriptor(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    def abandon(self) -> None:
        """Forget the socket without closing what has its number."""
        self._socket.detach()


class BlockingChannel:
    """Calls methods of one server, connecting when a call needs it.

    Options of calls are those of `Channel.call`. A call that finds no server fails with
    `purerpc.UnavailableError`, or with `wait_for_ready` tries until its time is up.
    """

    def __init__(self, host: str, port: int, options: ChannelOptions | None = None) -> None:
        self._host = host
        self._port = port
        self._options = options or ChannelOptions()
        self._headers = RequestHeaders(f"{host}:{port}", self._options)
        self._turn = threading.Lock()
        self._link: _Link | None = None

    def __enter__(self) -> "BlockingChannel":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call would open another."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    @property
    def descriptor(self) -> int | None:
        """The connection's file descriptor, None when there is no connection."""
        return None if self._link is None else self._link.descriptor

    def abandon(self) -> None:
        """Forget the connection without closing its descriptor; the next call opens another.

        For a process in which somebody else has closed it: the number may mean another file now.
        """
        link, self._link = self._link, None
        if link is not None:
            link.abandon()

    def wait_ready(self, timeout_s: float) -> None:
        """Connect; raises purerpc.UnavailableError if that takes longer than `timeout_s`."""
        with self._turn:
            self._connect(time.monotonic() + timeout_s, wait_for_ready=True)

    def unary_unary(self, path: str, request: Message, reply_type: type[M], **options: Any) -> M:
        """Send one message, return one reply."""
        return self._single(self._replies(path, (request,), reply_type, options))

    def unary_stream(
        self, path: str, request: Message, reply_type: type[M], **options: Any
    ) -> Iterator[M]:
        """Send one message, yield the replies. Close the iterator to leave early."""
        return self._replies(path, (request,), reply_type, options)

    def stream_unary(
        self, path: str, requests: Iterable[Message], reply_type: type[M], **options: Any
    ) -> M:
        """Send messages, return one reply."""
        return self._single(self._replies(path, requests, reply_type, options))

    def stream_stream(
        self, path: str, requests: Iterable[Message], reply_type: type[M], **options: Any
    ) -> Iterator[M]:
        """Send all messages, then yield the replies: one thread cannot do both at once.

        Replies that come while messages are sent are kept in memory.
        """
        return self._replies(path, requests, reply_type, options)

    @staticmethod
    def _single(replies: Iterator[M]) -> M:
        found = list(replies)
        if len(found) != 1:
            raise failure_of(
                Status(StatusCode.INTERNAL, "the server did not send exactly one message")
            )
        return found[0]

    def _replies(
        self,
        path: str,
        requests: Iterable[Message],
        reply_type: type[M],
        options: dict[str, Any],
    ) -> Iterator[M]:
        for message in self._call(path, requests, **options):
            try:
                reply = reply_type.FromString(message)
            except DecodeError:
                detail = f"the reply is not a valid {reply_type.DESCRIPTOR.full_name}"
                raise failure_of(Status(StatusCode.INTERNAL, detail)) from None
            yield reply

    def _call(
        self,
        path: str,
        requests: Iterable[Message],
        *,
        timeout_s: float | None = _UNSET,
        metadata: Metadata = (),
        wait_for_ready: bool = False,
        message_bytes_max: int | None = None,
    ) -> Iterator[bytes]:
        if timeout_s is _UNSET:
            timeout_s = self._options.timeout_s
        deadline_s = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        limit = message_bytes_max or self._options.message_bytes_max
        with self._turn:
            link = self._connect(deadline_s, wait_for_ready=wait_for_ready)
            remaining_s = None if timeout_s is None else max(deadline_s - time.monotonic(), 0.0)
            headers = self._headers.encode(path, remaining_s, metadata)
            response = link.begin(headers, limit)
            try:
                self._send_all(link, response, requests, deadline_s, limit)
                while True:
                    while response.messages:
                        yield response.messages.popleft()
                    if response.status is not None:
                        break
                    link.exchange(deadline_s)
            except _TimeUpError:
                response.fail(StatusCode.DEADLINE_EXCEEDED, "the call's time is up")
            except _LostError as error:
                response.fail(StatusCode.UNAVAILABLE, str(error))
                self.close()
            finally:
                link.end_call()
                self._flush(link)
            status = response.status
            if status is not None and status.status_code is not StatusCode.OK:
                raise failure_of(status, response.trailing_metadata)

    def _send_all(
        self,
        link: _Link,
        response: Response,
        requests: Iterable[Message],
        deadline_s: float,
        limit: int,
    ) -> None:
        for request in requests:
            message = request.SerializeToString()
            if len(message) > limit:
                response.fail(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"the request of {len(message)} bytes is over the channel's limit of {limit}",
                )
            if response.status is not None:
                return
            last = isinstance(requests, tuple)
            link.send(message, self._options.encoding, deadline_s, last=last)
        if not isinstance(requests, tuple):
            link.end_request(deadline_s)

    def _flush(self, link: _Link) -> None:
        """Send the reset of a call that was left; if that fails, the next call will see."""
        if self._link is link:
            with contextlib.suppress(_LostError, _TimeUpError):
                link.write(time.monotonic() + 1.0)

    def _connect(self, deadline_s: float, *, wait_for_ready: bool) -> _Link:
        """Return a connection that takes a call, opening one if need be."""
        if self._link is not None and not self._link.is_alive():
            self.close()
        for delay_s in backoff_delays(self._options):
            if self._link is not None:
                break
            try:
                self._link = _Link(self._host, self._port, self._options, deadline_s)
            except (_LostError, _TimeUpError) as error:
                detail = str(error) or f"{self._host}:{self._port} does not answer"
                if not wait_for_ready or time.monotonic() + delay_s >= deadline_s:
                    raise failure_of(Status(StatusCode.UNAVAILABLE, detail)) from None
                time.sleep(delay_s)
        assert self._link is not None
        return self._link
