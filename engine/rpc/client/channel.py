"""A channel for Trio: one address, connected again whenever the connection is lost."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

import trio
from google.protobuf.message import DecodeError, Message
from purerpc import Status, StatusCode

from engine.rpc.client.call import ClientCall
from engine.rpc.client.connection import ClientConnection
from engine.rpc.client.groups import raising_single_errors
from engine.rpc.client.options import ChannelOptions, backoff_delays
from engine.rpc.client.request import Metadata, RequestHeaders
from engine.rpc.client.response import failure_of
from engine.rpc.traced_calls import add_parent
from engine.rpc.transport.flusher import Flusher
from engine.rpc.transport.wire import Wire, WireClosedError

M = TypeVar("M", bound=Message)
_UNSET: Any = object()


@asynccontextmanager
async def open_channel(
    host: str, port: int, options: ChannelOptions | None = None
) -> AsyncIterator["Channel"]:
    """Open a channel; it connects in the background. Leaving it ends its calls.

    Args:
      host: an address or a name.
    """
    channel = Channel(host, port, options or ChannelOptions())
    with raising_single_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.run)
            yield channel
            nursery.cancel_scope.cancel()


class Channel:
    """Calls methods of one server.

    Timeouts are in seconds and become the server's deadline; a surrounding Trio deadline that is
    nearer is passed on to the server too. All methods raise subclasses of `RpcFailedError`; among
    them `purerpc.UnavailableError` at once when the connection is lost or cannot be made, unless
    `wait_for_ready`.
    """

    def __init__(self, host: str, port: int, options: ChannelOptions) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._headers = RequestHeaders(f"{host}:{port}", options)
        self._flusher = Flusher()
        self._connection: ClientConnection | None = None
        self._changed = trio.Event()
        self._failure: str | None = None
        self.connect_error: BaseException | None = None
        """What the system said when the last attempt to connect failed; None once connected."""

    # Connecting.

    async def run(self) -> None:
        """Keep the channel connected until cancelled; `open_channel` does this."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flusher.run)
            delays = backoff_delays(self._options)
            while True:
                connection = await self._connect(nursery)
                if connection is None:
                    await trio.sleep(next(delays))
                    continue
                delays = backoff_delays(self._options)
                await connection.unusable.wait()
                self._connection = None

    async def _connect(self, nursery: trio.Nursery) -> ClientConnection | None:
        """Return a connection that is ready, or None after noting why there is none."""
        connection: ClientConnection | None = None
        with trio.move_on_after(self._options.connect_timeout_s):
            try:
                wire = await self._open_wire()
            except (OSError, WireClosedError) as error:
                self.connect_error = error.__cause__ or error
                self._note(None, f"cannot connect to {self._host}:{self._port}: {error}")
                return None
            connection = ClientConnection(wire, self._options, self._flusher)
            nursery.start_soon(connection.run)
            await connection.settled.wait()
        if connection is None or not connection.settled.is_set():
            if connection is not None:
                connection.abandon()
            self._note(None, f"{self._host}:{self._port} does not answer")
            return None
        if not connection.accepts_calls:
            self._note(None, connection.lost_because)
            return None
        self.connect_error = None
        self._note(connection, None)
        return connection

    async def _open_wire(self) -> Wire:
        wire = Wire.of_stream(await trio.open_tcp_stream(self._host, self._port))
        tls = self._options.tls
        if tls is None:
            return wire
        try:
            name = self._options.tls_name or self._host
            await wire.start_tls(tls, server_side=False, server_hostname=name)
        except BaseException:
            wire.close()
            raise
        return wire

    def _note(self, connection: ClientConnection | None, failure: str | None) -> None:
        self._connection, self._failure = connection, failure
        self._changed.set()
        self._changed = trio.Event()

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until the channel is connected.

        Raises:
          purerpc.UnavailableError: it is not within `timeout_s`; the message tells the last reason.
        """
        with trio.move_on_after(timeout_s):
            await self._usable_connection(wait_for_ready=True)
            return
        raise failure_of(Status(StatusCode.UNAVAILABLE, self._failure or "not connected in time"))

    async def _usable_connection(self, *, wait_for_ready: bool) -> ClientConnection:
        """Return a connection that takes a call now."""
        while True:
            connection = self._connection
            if connection is not None and connection.accepts_calls:
                if await connection.wait_capacity():
                    return connection
                continue
            if self._failure is not None and not wait_for_ready:
                raise failure_of(Status(StatusCode.UNAVAILABLE, self._failure))
            await self._changed.wait()

    # Calling.

    @asynccontextmanager
    async def call(
        self,
        path: str,
        *,
        timeout_s: float | None = _UNSET,
        metadata: Metadata = (),
        wait_for_ready: bool = False,
        message_bytes_max: int | None = None,
    ) -> AsyncGenerator[ClientCall, None]:
        """Begin a call of raw messages; leaving it before its end cancels it.

        Args:
          path: `/package.Service/Method`.
          timeout_s: default is the channel's.
          message_bytes_max: bound on messages both ways; default is the channel's.
        """
        if timeout_s is _UNSET:
            timeout_s = self._options.timeout_s
        began_s = trio.current_time()
        own_deadline_s = float("inf") if timeout_s is None else began_s + timeout_s
        with trio.move_on_at(own_deadline_s) as connecting:
            connection = await self._usable_connection(wait_for_ready=wait_for_ready)
        if connecting.cancelled_caught:
            detail = self._failure or "not connected in time"
            raise failure_of(Status(StatusCode.DEADLINE_EXCEEDED, detail))
        remaining_s = min(own_deadline_s, trio.current_effective_deadline()) - trio.current_time()
        headers = self._headers.encode(
            path,
            None if remaining_s == float("inf") else max(remaining_s, 0.0),
            add_parent(metadata),
        )
        call = connection.begin(
            headers,
            deadline_s=own_deadline_s,
            message_bytes_max=message_bytes_max or self._options.message_bytes_max,
        )
        try:
            yield call
        finally:
            call.close()

    async def unary_unary(
        self, path: str, request: Message, reply_type: type[M], **options: Any
    ) -> M:
        """Send one message, return one reply. `options` are those of `call`."""
        async with self.call(path, **options) as call:
            await call.send(request.SerializeToString(), last=True)
            return parse(reply_type, await call.receive_only())

    async def unary_stream(
        self, path: str, request: Message, reply_type: type[M], **options: Any
    ) -> AsyncGenerator[M, None]:
        """Send one message, yield the replies. Close the iterator to leave early."""
        async with self.call(path, **options) as call:
            await call.send(request.SerializeToString(), last=True)
            while (message := await call.receive()) is not None:
                yield parse(reply_type, message)

    async def stream_unary(
        self, path: str, requests: AsyncIterable[Message], reply_type: type[M], **options: Any
    ) -> M:
        """Send messages, return one reply; the server may answer before the last."""
        async with self.call(path, **options) as call, sending(call, requests):
            message = await call.receive_only()
        return parse(reply_type, message)

    @asynccontextmanager
    async def stream_stream(
        self, path: str, requests: AsyncIterable[Message], reply_type: type[M], **options: Any
    ) -> AsyncGenerator[AsyncIterator[M], None]:
        """Send messages while the replies are read; a context, as sending is a task of its own."""

        async def replies(call: ClientCall) -> AsyncGenerator[M, None]:
            while (message := await call.receive()) is not None:
                yield parse(reply_type, message)

        async with (
            self.call(path, **options) as call,
            sending(call, requests),
            aclosing(replies(call)) as iterator,
        ):
            yield iterator


@asynccontextmanager
async def sending(call: ClientCall, requests: AsyncIterable[Message]) -> AsyncGenerator[None, None]:
    """Send all requests, and the end, beside the body; stop when the body has ended."""

    async def send_all() -> None:
        async for request in requests:
            await call.send(request.SerializeToString())
        call.end_request()

    with raising_single_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all)
            yield
            nursery.cancel_scope.cancel()


def parse(reply_type: type[M], message: bytes) -> M:
    """Return a reply. Raises purerpc.InternalError if the bytes are none."""
    try:
        return reply_type.FromString(message)
    except DecodeError:
        detail = f"the reply is not a valid {reply_type.DESCRIPTOR.full_name}"
        raise failure_of(Status(StatusCode.INTERNAL, detail)) from None
