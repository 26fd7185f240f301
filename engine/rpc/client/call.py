"""One call of a Trio channel."""

from typing import Any, Protocol

import trio
from purerpc import Status, StatusCode

from engine.rpc.client.response import Response, failure_of
from engine.rpc.http2.codec import Codec
from engine.rpc.http2.frames import ErrorCode
from engine.rpc.http2.heads import ResponseHead
from engine.rpc.http2.messages import frame_message
from engine.rpc.http2.metadata import Metadata

# A streamed request runs ahead of the server by this much.
_SEND_AHEAD_BYTES = 64 << 10


class CallOwner(Protocol):
    """The connection, as its calls see it."""

    codec: Codec[ResponseHead]

    def flush_soon(self) -> None:
        """Have what the call left in the codec's output sent."""

    async def wait_drained(self, stream_id: int, limit_bytes: int) -> None:
        """Wait until no more than `limit_bytes` of a call's request wait for the server."""

    def forget(self, stream_id: int) -> None:
        """Drop a call that has ended."""


class ClientCall:
    """A call under way: messages out, messages in, a status at the end.

    Every wait is bounded by the deadline; past it the call is cancelled and
    `purerpc.DeadlineExceededError` raised.
    """

    def __init__(
        self,
        connection: CallOwner,
        stream_id: int,
        *,
        deadline_s: float,
        encoding: str,
        message_bytes_max: int,
    ) -> None:
        self._connection = connection
        self._stream_id = stream_id
        self._deadline_s = deadline_s
        self._encoding = encoding
        self._message_bytes_max = message_bytes_max
        self._changed = trio.Event()
        self._held_bytes = 0
        self._uncredited_bytes = 0
        self.response = Response(message_bytes_max)

    @property
    def initial_metadata(self) -> Metadata:
        """What the server sent before its first message; empty until then."""
        return self.response.initial_metadata

    @property
    def trailing_metadata(self) -> Metadata:
        """What the server sent with its status; empty until then."""
        return self.response.trailing_metadata

    # What the caller does.

    async def send(self, message: bytes, *, last: bool = False) -> None:
        """Send a message; waits while the server does not keep up.

        Returns also when the call has ended meanwhile: `receive` tells how.
        """
        if self.response.status is not None:
            await trio.lowlevel.checkpoint()
            return
        if len(message) > self._message_bytes_max:
            self._end(
                Status(
                    StatusCode.RESOURCE_EXHAUSTED,
                    f"the request of {len(message)} bytes is over the channel's limit of "
                    f"{self._message_bytes_max}",
                )
            )
            return
        codec = self._connection.codec
        *first, end = frame_message(message, self._encoding)
        for part in first:
            codec.send_data(self._stream_id, part)
        codec.send_data(self._stream_id, end, end_stream=last)
        self._connection.flush_soon()
        if codec.stream_queued_bytes(self._stream_id) > _SEND_AHEAD_BYTES:
            with trio.move_on_at(self._deadline_s):
                await self._connection.wait_drained(self._stream_id, _SEND_AHEAD_BYTES)

    def end_request(self) -> None:
        """Say that no message follows."""
        self._connection.codec.send_data(self._stream_id, b"", end_stream=True)
        self._connection.flush_soon()

    async def receive(self) -> bytes | None:
        """Return the next message, None once the call has ended well.

        Raises:
          RpcFailedError: the call has failed; which subclass tells the status.
        Cancellation: while waiting; no message is lost.
        """
        response = self.response
        while not response.messages:
            if response.status is not None:
                if response.status.status_code is StatusCode.OK:
                    return None
                raise failure_of(response.status, response.trailing_metadata)
            await self._wait()
        message = response.messages.popleft()
        if not response.messages:
            self._release()
            self._connection.flush_soon()
        return message

    async def receive_only(self) -> bytes:
        """Return the one message of the response.

        Raises:
          RpcFailedError: the call has failed, or has not exactly one message.
        """
        message = await self.receive()
        if message is None or await self.receive() is not None:
            raise failure_of(
                Status(StatusCode.INTERNAL, "the server did not send exactly one message")
            )
        return message

    async def _wait(self) -> None:
        self._changed = trio.Event()
        with trio.move_on_at(self._deadline_s):
            await self._changed.wait()
            return
        self._end(Status(StatusCode.DEADLINE_EXCEEDED, "the call's time is up"))

    def close(self) -> None:
        """Leave the call; if it has not ended, the server is told to stop."""
        self._end(Status(StatusCode.CANCELLED, "the caller has left the call"))
        self._connection.forget(self._stream_id)

    def _end(self, status: Status) -> None:
        """End the call from this side."""
        if self.response.status is None:
            self.response.end(status)
            self._connection.codec.reset_stream(self._stream_id, ErrorCode.CANCEL)
            self._connection.flush_soon()
            # Another task may be receiving while one that sends finds that it cannot.
            self._changed.set()
        self.response.messages.clear()
        self._release()

    # What the connection does.

    def on_head(self, head: ResponseHead, *, ended: bool) -> None:
        """Headers or trailers have come."""
        self.response.take_head(head, ended=ended)
        self._on_change()

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Data has come."""
        self._held_bytes += len(data)
        self._uncredited_bytes += len(data)
        self.response.take_data(data, ended=ended)
        if not self.response.messages:
            self._release()
        self._on_change()

    def on_reset(self, code: int) -> None:
        """The server has reset the stream."""
        self.response.take_reset(code)
        self._changed.set()

    def on_lost(self, detail: str) -> None:
        """The connection is gone, or the server will not process the call."""
        self.response.fail(StatusCode.UNAVAILABLE, detail)
        self._changed.set()

    def _on_change(self) -> None:
        response, codec = self.response, self._connection.codec
        if response.status is not None and codec.is_open(self._stream_id):
            # It has ended before our request has, or by a fault of the response.
            codec.reset_stream(self._stream_id, ErrorCode.CANCEL)
        self._changed.set()

    def _release(self) -> None:
        """Let the server send on: all that is held has been taken, or completes one message."""
        codec: Codec[Any] = self._connection.codec
        released = self._held_bytes - self.response.incomplete_bytes
        if released > 0:
            self._held_bytes -= released
            codec.credit_connection(released)
        if self._uncredited_bytes:
            codec.credit_stream(self._stream_id, self._uncredited_bytes)
            self._uncredited_bytes = 0
