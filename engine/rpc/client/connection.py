"""One connection of a Trio channel."""

from typing import Final

import trio

from engine.rpc.client.call import ClientCall
from engine.rpc.client.options import ChannelOptions
from engine.rpc.http2.codec import Codec
from engine.rpc.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    HeadersReceived,
    HeadersTooLarge,
    PeerGoesAway,
    PeerSettingsChanged,
    PingAcknowledged,
    StreamReset,
)
from engine.rpc.http2.frames import ErrorCode
from engine.rpc.http2.heads import ResponseHead, read_response_head
from engine.rpc.http2.protocol import Http2Protocol
from engine.rpc.transport.flusher import Flusher
from engine.rpc.transport.outlet import Outlet
from engine.rpc.transport.wire import Wire, WireClosedError

_KEEPALIVE_PING: Final = b"present\0"


def open_client_codec(options: ChannelOptions) -> Codec[ResponseHead]:
    """Return the codec of a new connection; the one place that chooses the implementation."""
    return Http2Protocol(client=True, limits=options.http2, interpret=read_response_head)


class ClientConnection:
    """A connection and its calls. When it is lost, all of them fail at once."""

    def __init__(self, wire: Wire, options: ChannelOptions, flusher: Flusher) -> None:
        self.codec = open_client_codec(options)
        self._wire = wire
        self._options = options
        self._flusher = flusher
        self._flush_is_due = False
        self._outlet: Outlet | None = None
        self._scope = trio.CancelScope()
        self._calls: dict[int, ClientCall] = {}
        self._capacity = trio.Event()
        self._received_s = trio.current_time()
        self._ping_sent_s: float | None = None
        self.lost_because = "the connection was closed"
        self.settled = trio.Event()
        """Set once the server has shown that it speaks HTTP/2, or the connection is unusable."""
        self.unusable = trio.Event()
        """Set once no more calls can begin: the server goes away, or the connection is lost."""

    async def run(self) -> None:
        """Exchange frames until the connection is lost, or drained by the server.

        Cancellation: at once; calls under way fail with UNAVAILABLE.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._outlet = Outlet(self._wire, self.codec, nursery, self._scope.cancel)
                    self._outlet.flush()
                    nursery.start_soon(self._keep_alive)
                    await self._receive()
                    nursery.cancel_scope.cancel()
        finally:
            self._end()
            self._wire.close()

    @property
    def accepts_calls(self) -> bool:
        """False once the connection is unusable."""
        return not self.unusable.is_set()

    def _end(self) -> None:
        self._retire()
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.on_lost(self.lost_because)

    async def _receive(self) -> None:
        assert self._outlet is not None
        while self.accepts_calls or self._calls:
            await self._wire.wait_readable()
            try:
                data = self._wire.receive_nowait()
            except WireClosedError as error:
                self.lost_because = f"the connection was lost: {error}"
                return
            if data is None:
                continue
            if not data:
                self.lost_because = "the server closed the connection"
                return
            self._received_s = trio.current_time()
            for event in self.codec.receive(data, self._received_s):
                self._handle(event)
            self._outlet.wake_senders()
            self._outlet.flush()

    def _handle(self, event: Event[ResponseHead]) -> None:
        if isinstance(event, HeadersReceived):
            call = self._calls.get(event.stream_id)
            if call is not None:
                call.on_head(event.head, ended=event.ended)
        elif isinstance(event, DataReceived):
            call = self._calls.get(event.stream_id)
            if call is not None:
                call.on_data(event.data, ended=event.ended)
            else:
                self.codec.credit_connection(len(event.data))
        elif isinstance(event, StreamReset):
            call = self._calls.get(event.stream_id)
            if call is not None:
                call.on_reset(event.code)
        elif isinstance(event, HeadersTooLarge):
            call = self._calls.get(event.stream_id)
            if call is not None:
                self.codec.reset_stream(event.stream_id, ErrorCode.CANCEL)
                call.on_reset(ErrorCode.ENHANCE_YOUR_CALM)
        elif isinstance(event, PeerSettingsChanged):
            self.settled.set()
            self._capacity.set()
        elif isinstance(event, PeerGoesAway):
            self._on_goaway(event)
        elif isinstance(event, PingAcknowledged):
            self._ping_sent_s = None
        elif isinstance(event, ConnectionFailed):
            self.lost_because = f"the server broke the protocol: {event.reason}"
            self.flush()
            self._scope.cancel()

    def _retire(self) -> None:
        self.unusable.set()
        self.settled.set()
        self._capacity.set()

    def _on_goaway(self, event: PeerGoesAway) -> None:
        self._retire()
        detail = event.debug[:200].decode("utf-8", "replace")
        if event.code != ErrorCode.NO_ERROR:
            self.lost_because = f"the server closed the connection: {detail or event.code}"
        for stream_id, call in list(self._calls.items()):
            if stream_id > event.last_stream_id:
                call.on_lost("the server is going away and did not process the call")

    async def wait_capacity(self) -> bool:
        """Wait until a call may begin; False if none will on this connection."""
        while self.accepts_calls and self.codec.open_streams >= self.codec.peer_max_streams:
            if self._capacity.is_set():
                self._capacity = trio.Event()
            await self._capacity.wait()
        return self.accepts_calls

    def begin(self, headers: bytes, *, deadline_s: float, message_bytes_max: int) -> ClientCall:
        """Open a stream and send its headers."""
        stream_id = self.codec.open_stream()
        if self.codec.stream_ids_exhausted:
            self._retire()
        call = ClientCall(
            self,
            stream_id,
            deadline_s=deadline_s,
            encoding=self._options.encoding,
            message_bytes_max=message_bytes_max,
        )
        self._calls[stream_id] = call
        self.codec.send_headers(stream_id, headers)
        return call

    def forget(self, stream_id: int) -> None:
        self._calls.pop(stream_id, None)
        self._capacity.set()
        if not self.accepts_calls and not self._calls:
            self._scope.cancel()

    def flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._flusher.flush_soon(self)

    def flush(self) -> None:
        self._flush_is_due = False
        if self._outlet is not None:
            self._outlet.flush()

    async def wait_drained(self, stream_id: int, limit_bytes: int) -> None:
        if self._outlet is not None:
            await self._outlet.wait_drained(stream_id, limit_bytes)

    async def _keep_alive(self) -> None:
        """Find out by a ping whether a silent server still lives while calls wait for it."""
        options = self._options
        while True:
            await trio.sleep(min(options.keepalive_s, options.keepalive_timeout_s) / 2)
            now_s = trio.current_time()
            if self._ping_sent_s is not None:
                if now_s - self._ping_sent_s > options.keepalive_timeout_s:
                    self.lost_because = "the server does not answer pings"
                    self._scope.cancel()
            elif self._calls and now_s - self._received_s > options.keepalive_s:
                self._ping_sent_s = now_s
                self.codec.ping(_KEEPALIVE_PING)
                self.flush()
