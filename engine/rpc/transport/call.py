"""One call on a server: the request's messages in, the reply out."""

import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Protocol

import trio
from google.protobuf.message import Message
from purerpc import RpcFailedError, Status, StatusCode

from engine.rpc.http2.codec import Codec
from engine.rpc.http2.heads import RequestHead
from engine.rpc.http2.messages import (
    MessageError,
    MessageReader,
    MessageTooLargeError,
    frame_message,
)
from engine.rpc.http2.metadata import Metadata
from engine.rpc.statuses import failed_with, internal_status
from engine.rpc.transport.methods import Method
from engine.rpc.transport.replies import (
    REPLY_HEADERS,
    TRAILERS_OK,
    encode_reply_headers,
    encode_trailers,
)

logger = logging.getLogger(__name__)

# A streaming handler runs ahead of its peer by this much.
_SEND_AHEAD_BYTES = 64 << 10
_OK = Status(StatusCode.OK)


class CallOwner(Protocol):
    """The connection, as its calls see it."""

    codec: Codec[RequestHead]
    message_bytes_max: int

    def flush_soon(self) -> None:
        """Have what the call left in the codec's output sent."""

    def hold(self, size: int) -> None:
        """Count bytes of requests that occupy memory; negative when they no longer do."""

    async def wait_drained(self, stream_id: int, limit_bytes: int) -> None:
        """Wait until no more than `limit_bytes` of a call's reply wait for the peer."""

    def forget(self, call: "Call") -> None:
        """Drop a call whose stream has ended."""


class Call:
    """One call. Handlers with a second parameter get it as their `request`.

    A call has at most one task. Until `attach`, it has none and waits for its request, or it is
    being stepped by the connection's leader.
    """

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_cancelled",
        "_connection",
        "_encoding",
        "_held_bytes",
        "_messages",
        "_reader",
        "_reply_headers",
        "_reply_started",
        "_scope",
        "_trailing_metadata",
        "_uncredited_bytes",
        "began_s",
        "deadline_s",
        "ended",
        "head",
        "method",
        "request_ended",
        "stream_id",
        "suspended",
    )

    def __init__(
        self,
        connection: CallOwner,
        stream_id: int,
        head: RequestHead,
        method: Method,
        began_s: float,
    ) -> None:
        self._connection = connection
        self.stream_id = stream_id
        self.head = head
        self.method = method
        self.began_s = began_s
        timeout_s = head.timeout_s
        self.deadline_s = float("inf") if timeout_s is None else began_s + timeout_s
        self.request_ended = False
        self.ended = False
        """True once nothing more can be sent: the reply is complete, or the stream was reset."""
        self.suspended = False
        """True once the call has a task of its own."""
        self._messages: deque[bytes] = deque()
        self._reader = MessageReader(head.encoding, connection.message_bytes_max)
        self._held_bytes = 0
        self._uncredited_bytes = 0
        self._arrived: trio.Event | None = None
        self._scope: trio.CancelScope | None = None
        self._cancelled = False
        self._encoding = head.encoding if head.encoding in head.accepted_encodings else "identity"
        self._reply_headers = REPLY_HEADERS[self._encoding]
        self._reply_started = False
        self._trailing_metadata: Metadata = ()

    # What a handler may ask, under the names of purerpc's `RequestReceived`.

    @property
    def custom_metadata(self) -> Metadata:
        """The caller's metadata, names in lower case, in order, names may repeat."""
        return self.head.metadata

    @property
    def timeout(self) -> timedelta | None:
        """How long the caller waits from the call's start, None for ever."""
        timeout_s = self.head.timeout_s
        return None if timeout_s is None else timedelta(seconds=timeout_s)

    @property
    def service_name(self) -> str:
        """The full name of the service called."""
        return self.method.path.split("/")[1]

    @property
    def method_name(self) -> str:
        """The name of the method called."""
        return self.method.path.split("/")[2]

    @property
    def authority(self) -> str | None:
        """The host the caller named."""
        return self.head.authority

    @property
    def user_agent(self) -> str | None:
        """What the caller says it is."""
        return self.head.user_agent

    def set_initial_metadata(self, metadata: Metadata) -> None:
        """Choose the metadata that opens the reply; before the first reply is sent.

        Raises:
          ValueError: metadata cannot be sent, or the reply has begun.
        """
        if self._reply_started:
            raise ValueError("the reply has begun; its initial metadata is sent")
        self._reply_headers = encode_reply_headers(self._encoding, metadata)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Choose the metadata that ends the reply, with whatever status."""
        self._trailing_metadata = tuple(metadata)

    # The request.

    @property
    def waiting_bytes(self) -> int:
        """Bytes of a message that is not complete."""
        return self._reader.buffered_bytes

    def feed(self, data: bytes, *, ended: bool) -> None:
        """Take a part of the request's body, or its end."""
        size = len(data)
        if size:
            self._held_bytes += size
            self._connection.hold(size)
            if self.ended:
                return  # it was the one too many
            try:
                self._messages.extend(self._reader.feed(data))
            except MessageTooLargeError as error:
                self.fail(StatusCode.RESOURCE_EXHAUSTED, str(error))
                return
            except MessageError as error:
                self.fail(StatusCode.INTERNAL, str(error))
                return
        if ended:
            self.request_ended = True
            if self._reader.buffered_bytes:
                self.fail(StatusCode.INTERNAL, "the request ends within a message")
                return
        else:
            # The peer may send on while the handler keeps up, or to complete a message.
            self._uncredited_bytes += size
            if not self._messages:
                self._credit_stream()
        if self._arrived is not None:
            self._arrived.set()

    def _credit_stream(self) -> None:
        if self._uncredited_bytes:
            self._connection.codec.credit_stream(self.stream_id, self._uncredited_bytes)
            self._uncredited_bytes = 0

    def _release(self) -> None:
        """Give the connection's window back what is no longer held."""
        released = self._held_bytes - self._reader.buffered_bytes
        if released:
            self._held_bytes -= released
            self._connection.hold(-released)
        self._credit_stream()

    def take_single(self) -> bytes:
        """Return the one message of a request that has ended.

        Raises:
          RpcFailedError: there is none, or more than one.
        """
        if len(self._messages) != 1:
            raise failed_with(
                StatusCode.INTERNAL,
                f"{self.method.path} takes one request message, not {len(self._messages)}",
            )
        message = self._messages.popleft()
        self._release()
        return message

    async def receive(self) -> bytes | None:
        """Return the next message, None once the request has ended.

        Cancellation: while waiting; no message is lost.
        """
        while not self._messages:
            if self.request_ended:
                return None
            self._arrived = trio.Event()
            await self._arrived.wait()
            self._arrived = None
        message = self._messages.popleft()
        if not self._messages:
            self._release()
            self._connection.flush_soon()  # the credit
        return message

    # The reply.

    async def send(self, reply: Message) -> None:
        """Send one of many replies; waits while the peer does not keep up.

        Cancellation: while waiting; the reply is on its way all the same.
        """
        if self.ended:
            await trio.lowlevel.checkpoint()  # where the handler learns that it is cancelled
            return
        data = self._serialize(reply)
        codec = self._connection.codec
        if not self._reply_started:
            self._reply_started = True
            codec.send_headers(self.stream_id, self._reply_headers)
        for part in frame_message(data, self._encoding):
            codec.send_data(self.stream_id, part)
        self._connection.flush_soon()
        if codec.stream_queued_bytes(self.stream_id) > _SEND_AHEAD_BYTES:
            await self._connection.wait_drained(self.stream_id, _SEND_AHEAD_BYTES)

    def send_only(self, reply: Message) -> None:
        """Send the one reply and end the call."""
        data = self._serialize(reply)
        if self.ended:
            return
        codec, stream_id = self._connection.codec, self.stream_id
        if not self._reply_started:
            self._reply_started = True
            codec.send_headers(stream_id, self._reply_headers)
        for part in frame_message(data, self._encoding):
            codec.send_data(stream_id, part)
        self.finish(_OK)

    def finish(self, status: Status) -> None:
        """End the call with a status, unless it has ended."""
        if self.ended:
            return
        if status is _OK and not self._trailing_metadata and self._reply_started:
            trailers = TRAILERS_OK
        else:
            trailers = self._encode_trailers(status)
        codec = self._connection.codec
        codec.send_headers(self.stream_id, trailers, end_stream=True)
        self._end()
        self._connection.flush_soon()

    def fail(self, code: StatusCode, message: str) -> None:
        """End the call with an error of the transport's."""
        self.finish(Status(code, message))
        self.cancel()

    def _encode_trailers(self, status: Status) -> bytes:
        opens = not self._reply_started
        try:
            return encode_trailers(status, self._trailing_metadata, opens=opens)
        except ValueError as error:
            logger.error(  # noqa: TRY400 - the handler's frames are gone
                "trailing metadata refused", extra={"rpc": self.method.path, "detail": str(error)}
            )
            return encode_trailers(status, opens=opens)

    def _serialize(self, reply: Message) -> bytes:
        data = reply.SerializeToString()
        limit = self._connection.message_bytes_max
        if len(data) > limit:
            raise failed_with(
                StatusCode.RESOURCE_EXHAUSTED,
                f"the reply of {len(data)} bytes is over the limit of {limit}",
            )
        return data

    # The call's life.

    async def run(self) -> None:
        """Have the handler answer. Raises nothing but what is no `Exception`.

        Cancellation: by the scope given to `attach`; then the caller is told by `end_cancelled`.
        """
        method = self.method
        try:
            request: Any
            if method.streams_requests:
                request = RequestStream(self)
            else:
                request = method.parse(self.take_single())
            if method.streams_replies:
                async with aclosing(method.handler(request, self)) as replies:
                    async for reply in replies:
                        await self.send(reply)
                self._start_reply()
                self.finish(_OK)
            else:
                self.send_only(await method.handler(request, self))
        except RpcFailedError as error:
            self.finish(error.status)
        except Exception:
            error_id = secrets.token_hex(6)
            logger.exception("call failed", extra={"error_id": error_id, "rpc": method.path})
            self.finish(internal_status(error_id))

    def _start_reply(self) -> None:
        if not self._reply_started and not self.ended:
            self._reply_started = True
            self._connection.codec.send_headers(self.stream_id, self._reply_headers)

    def attach(self, scope: trio.CancelScope) -> None:
        """Tie the call to the scope of the task that runs it from now on."""
        self.suspended = True
        if self._cancelled:
            scope.cancel()
        elif self.deadline_s != float("inf"):
            scope.deadline = self.deadline_s
        self._scope = scope

    def cancel(self) -> None:
        """Cancel the handler, now or as soon as it has a task."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    def reset(self) -> None:
        """The stream was reset: nobody waits for an answer."""
        self._end()
        self.cancel()

    def end_cancelled(self) -> None:
        """The call's scope has cancelled the handler: tell the caller if it still listens."""
        if not self._cancelled:
            self.finish(
                Status(
                    StatusCode.DEADLINE_EXCEEDED,
                    f"{self.method.path} did not finish within the caller's timeout",
                )
            )

    def _end(self) -> None:
        self.ended = True
        self._messages.clear()
        self._reader = MessageReader("identity", 0)
        self._release()
        self._connection.forget(self)


class RequestStream(AsyncIterator[Message]):
    """The messages of a streamed request, parsed as the handler takes them."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __anext__(self) -> Message:
        message = await self._call.receive()
        if message is None:
            raise StopAsyncIteration
        return self._call.method.parse(message)

    async def aclose(self) -> None:
        """Do nothing: what is not taken is dropped when the call ends."""
