"""One connection: reads frames, runs a task a call, writes replies, drains when told to."""

import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import attrs
import trio
from google.protobuf.message import DecodeError, Message
from h2.errors import ErrorCodes  # type: ignore[import-untyped]
from h2.exceptions import ProtocolError  # type: ignore[import-untyped]
from purerpc import Cardinality, RpcFailedError, Service, Status, StatusCode
from purerpc.grpclib.events import MessageReceived, RequestEnded, RequestReceived, WindowUpdated

from engine.rpc.limits import TransportLimits
from engine.rpc.statuses import cut_message, failed_with
from engine.rpc.stock.codec import (
    Codec,
    PeerLeaves,
    StreamRefused,
    StreamReset,
    frame_message,
    goaway_frame,
)

logger = logging.getLogger(__name__)

_RECEIVE_BYTES = 65_536
_STREAM_ID_MAX = 2**31 - 1
_LAST_WORDS_S = 1.0  # for the GOAWAY that tells a malformed peer why it is cut off
_STREAMED_REQUESTS = (Cardinality.STREAM_UNARY, Cardinality.STREAM_STREAM)
_STREAMED_REPLIES = (Cardinality.UNARY_STREAM, Cardinality.STREAM_STREAM)


@attrs.define(eq=False)
class _Call:
    """A call under way.

    `inbox` is bounded by the stream's flow-control window: the peer gets credit for a message when
    the handler takes it.
    """

    stream_id: int
    method: Any
    request: RequestReceived
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    inbox: deque[MessageReceived] = attrs.field(factory=deque)
    request_ended: bool = False
    reply_started: bool = False
    arrived: trio.Event = attrs.field(factory=trio.Event)

    @property
    def streams_requests(self) -> bool:
        return self.method.signature.cardinality in _STREAMED_REQUESTS

    @property
    def streams_replies(self) -> bool:
        return self.method.signature.cardinality in _STREAMED_REPLIES

    def notify(self) -> None:
        self.arrived.set()
        self.arrived = trio.Event()


class Connection:
    """Serves one peer.

    A call's task is cancelled when the peer cancels the call or is gone. Nothing that a peer sends
    raises out of `run`.
    """

    def __init__(
        self, stream: trio.SocketStream, services: Mapping[str, Service], limits: TransportLimits
    ) -> None:
        self._stream = stream
        self._services = services
        self._limits = limits
        self._codec = Codec(limits)
        self._calls: dict[int, _Call] = {}
        self._last_stream_id = 0
        self._closing = False
        self._notices = b""  # frames that h2 does not know of
        self._something_to_send = trio.Event()
        self._sent = trio.Event()
        self._window_opened = trio.Event()
        self._call_ended = trio.Event()

    async def run(self, stop: trio.Event) -> None:
        """Serve until the peer is gone, or until `stop` is set and the calls under way have ended.

        Cancellation: at once; the peer sees the connection close.
        """
        try:
            async with self._stream, trio.open_nursery() as nursery:
                self._codec.initiate_connection()
                nursery.start_soon(self._write)
                nursery.start_soon(self._drain, stop, nursery.cancel_scope)
                await self._read(nursery)
                nursery.cancel_scope.cancel()
        except* Exception:  # ours or h2's, and no reason to end the service of other peers
            logger.exception("connection failed")

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            if self._closing:
                continue  # the peer reads the last replies; what it still says is too late
            try:
                events = self._codec.receive_data(bytes(data))
                reset = {event.stream_id for event in events if isinstance(event, StreamReset)}
                for event in events:
                    # A call that was made and cancelled in one breath is not begun.
                    if isinstance(event, StreamReset) or event.stream_id not in reset:
                        self._handle(event, nursery)
                    if isinstance(event, PeerLeaves):
                        return
            except Exception as error:  # noqa: BLE001 - h2 3.2 raises more than its own errors
                await self._cut_off(error)
                return
            self._wake_writer()

    def _handle(self, event: Any, nursery: trio.Nursery) -> None:
        match event:
            case RequestReceived():
                self._accept(event, nursery)
            case MessageReceived():
                self._deliver(event)
            case RequestEnded():
                self._end_request(event, nursery)
            case StreamRefused():
                call = self._calls.get(event.stream_id)
                if call is not None:
                    call.scope.cancel()
                self._answer(event.stream_id, event.status, call)
            case StreamReset():
                call = self._calls.pop(event.stream_id, None)
                if call is not None:
                    call.scope.cancel()
                    self._announce_end()
            case WindowUpdated():
                self._window_opened.set()
                self._window_opened = trio.Event()

    def _accept(self, request: RequestReceived, nursery: trio.Nursery) -> None:
        stream_id = request.stream_id
        self._last_stream_id = max(self._last_stream_id, stream_id)
        service = self._services.get(request.service_name)
        method = None if service is None else service.methods.get(request.method_name)
        if method is None:
            what = "service" if service is None else "method"
            text = f"no {what} /{request.service_name}/{request.method_name} on this port"
            self._answer(stream_id, Status(StatusCode.UNIMPLEMENTED, cut_message(text)), None)
            return
        call = _Call(stream_id, method, request)
        self._calls[stream_id] = call
        if call.streams_requests:
            nursery.start_soon(self._run_call, call)

    def _deliver(self, message: MessageReceived) -> None:
        call = self._calls.get(message.stream_id)
        if call is None:
            self._codec.release(message.stream_id, message.flow_controlled_length)
            return
        call.inbox.append(message)
        call.notify()
        if not call.streams_requests and len(call.inbox) > 1:
            self._answer(call.stream_id, _one_message_expected(), call)

    def _end_request(self, event: RequestEnded, nursery: trio.Nursery) -> None:
        call = self._calls.get(event.stream_id)
        if call is None:
            return
        call.request_ended = True
        call.notify()
        if call.streams_requests:
            return
        if call.inbox:
            nursery.start_soon(self._run_call, call)
        else:
            self._answer(call.stream_id, _one_message_expected(), call)

    async def _run_call(self, call: _Call) -> None:
        with call.scope:
            try:
                await self._invoke(call)
            except RpcFailedError as error:
                await trio.lowlevel.checkpoint_if_cancelled()
                self._answer(call.stream_id, error.status, call)
            else:
                await trio.lowlevel.checkpoint_if_cancelled()
                self._answer(call.stream_id, Status(StatusCode.OK), call)
            # Replies that nobody reads must not pile up: a call lasts until its bytes are gone.
            await self._flush()

    async def _invoke(self, call: _Call) -> None:
        handle = call.method.method_fn
        async with aclosing(self._requests(call)) as requests:
            argument = requests if call.streams_requests else await anext(requests)
            if call.streams_replies:
                async with aclosing(handle(argument, call.request)) as replies:
                    async for reply in replies:
                        await self._send(call, reply)
            else:
                await self._send(call, await handle(argument, call.request))

    async def _requests(self, call: _Call) -> AsyncGenerator[Message, None]:
        request_type = call.method.signature.request_type
        while True:
            while not call.inbox:
                if call.request_ended:
                    return
                await call.arrived.wait()
            received = call.inbox.popleft()
            self._codec.release(call.stream_id, received.flow_controlled_length)
            self._wake_writer()
            try:
                message = request_type.FromString(received.data)
            except DecodeError as error:
                raise failed_with(
                    StatusCode.INVALID_ARGUMENT,
                    f"the request is not a {request_type.DESCRIPTOR.full_name}: {error}",
                ) from None
            yield message

    async def _send(self, call: _Call, reply: Message) -> None:
        data = reply.SerializeToString()
        if len(data) > self._limits.message_bytes_max:
            raise failed_with(
                StatusCode.RESOURCE_EXHAUSTED,
                f"the reply has {len(data)} bytes, the limit is {self._limits.message_bytes_max}; "
                "ask for less at once",
            )
        await trio.lowlevel.checkpoint_if_cancelled()  # a cancelled call's stream is closed
        if not call.reply_started:
            self._codec.start_response(call.stream_id, "+proto")
            call.reply_started = True
        left = memoryview(frame_message(data))
        while left:
            size_bytes = self._codec.send_message_part(call.stream_id, left)
            left = left[size_bytes:]
            if size_bytes == 0:
                await self._window_opened.wait()
            elif left or call.streams_replies:
                await self._flush()
            await trio.lowlevel.checkpoint_if_cancelled()

    def _answer(self, stream_id: int, status: Status, call: _Call | None) -> None:
        """End a stream from our side with a status."""
        if call is not None:
            if self._calls.pop(stream_id, None) is None:
                return  # answered before: a refusal overtook the handler
            self._announce_end()
        self._codec.answer(stream_id, status, reply_started=call is not None and call.reply_started)
        self._wake_writer()

    async def _write(self) -> None:
        while True:
            data = self._codec.data_to_send() + self._notices
            self._notices = b""
            if not data:
                self._something_to_send = trio.Event()
                await self._something_to_send.wait()
                continue
            sent, self._sent = self._sent, trio.Event()
            try:
                await self._stream.send_all(data)
            except trio.BrokenResourceError:
                return  # the reader learns of it, too, and ends the connection
            sent.set()

    async def _flush(self) -> None:
        self._wake_writer()
        await self._sent.wait()

    def _wake_writer(self) -> None:
        self._something_to_send.set()

    def _announce_end(self) -> None:
        self._call_ended.set()
        self._call_ended = trio.Event()

    async def _drain(self, stop: trio.Event, scope: trio.CancelScope) -> None:
        await stop.wait()
        # The first GOAWAY asks for no more calls and refuses none that are on their way.
        self._notices += goaway_frame(_STREAM_ID_MAX)
        self._wake_writer()
        while self._calls:
            await self._call_ended.wait()
        self._closing = True
        self._notices += goaway_frame(self._last_stream_id)
        await self._flush()
        # Closing with unread input would reset the connection and could destroy the last replies,
        # so the peer is left to close it, for a while.
        await trio.sleep(self._limits.linger_s)
        scope.cancel()

    async def _cut_off(self, error: Exception) -> None:
        """End the connection of a peer that broke the protocol."""
        level = logging.INFO if isinstance(error, ProtocolError) else logging.WARNING
        logger.log(level, "connection cut off", extra={"reason": repr(error)})
        self._closing = True
        self._notices += goaway_frame(self._last_stream_id, ErrorCodes.PROTOCOL_ERROR)
        for call in self._calls.values():
            call.scope.cancel()
        with trio.move_on_after(_LAST_WORDS_S):
            await self._flush()


def _one_message_expected() -> Status:
    return Status(StatusCode.INVALID_ARGUMENT, "this method takes exactly one request message")
