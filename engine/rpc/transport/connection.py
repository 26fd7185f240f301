"""One connection of a server: who reads, who runs calls, who writes, and when it is over.

One task at a time *leads* the connection: it waits for the socket, has the codec make events of
what came, and answers. A complete unary call is stepped right there. Most end without suspending
and cost no task at all. A call that does suspend keeps the task it began in (its cancel scopes and
nurseries belong to that task), and a new task takes over the lead. `stepping` holds the trick.

Replies of everything that one read brought leave in one write, when the leader has no events left.
"""

import contextvars
import functools
from collections import deque
from typing import Final

import trio
from purerpc import Status, StatusCode

from engine.rpc.http2.codec import Codec
from engine.rpc.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    HeadersReceived,
    HeadersTooLarge,
    PeerGoesAway,
    PingAcknowledged,
    StreamReset,
)
from engine.rpc.http2.frames import ErrorCode
from engine.rpc.http2.heads import RequestHead
from engine.rpc.http2.messages import ENCODINGS
from engine.rpc.limits import TransportLimits
from engine.rpc.transport.admission import Admission
from engine.rpc.transport.call import Call
from engine.rpc.transport.flusher import Flusher
from engine.rpc.transport.methods import Method, MethodTable
from engine.rpc.transport.outlet import Outlet
from engine.rpc.transport.patience import Due, Patience
from engine.rpc.transport.refusals import Refusals
from engine.rpc.transport.replies import encode_http_refusal, encode_trailers
from engine.rpc.transport.stepping import await_noticing_suspension
from engine.rpc.transport.wire import Wire, WireClosedError

# After so many calls in a row, other connections have their turn.
_CALLS_PER_TURN: Final = 64
# Past this, a peer that does not read is not read from either: its pings would pile up answers.
_UNSENT_BYTES_MAX: Final = 1 << 20
_DRAIN_PING: Final = b"goodbye\0"
_KEEPALIVE_PING: Final = b"present\0"


class Connection:
    """Serves one peer. Nothing that a peer sends raises out of `run`."""

    def __init__(
        self,
        wire: Wire,
        codec: Codec[RequestHead],
        *,
        methods: MethodTable,
        limits: TransportLimits,
        admission: Admission,
        flusher: Flusher,
        refusals: Refusals,
    ) -> None:
        self.codec = codec
        self.message_bytes_max = limits.message_bytes_max
        self._wire = wire
        self._methods = methods
        self._limits = limits
        self._admission = admission
        self._flusher = flusher
        self._refusals = refusals

        self._events: deque[Event[RequestHead]] = deque()
        self._calls: dict[int, Call] = {}
        self._held_bytes = 0
        self._held_bytes_max = limits.http2.connection_window_bytes * 3 // 4
        self._nursery: trio.Nursery | None = None
        self._outlet: Outlet | None = None
        self._leader_will_flush = False
        self._flush_is_due = False

        self._patience = Patience(limits, trio.current_time())
        self._drain_finished = False

    async def run(self) -> None:
        """Serve until the peer is gone or the connection has been drained.

        Cancellation: at once; handlers are cancelled and the peer sees the connection close.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._outlet = Outlet(self._wire, self.codec, nursery, self._abandon)
                nursery.start_soon(self._lead)
        finally:
            self._nursery = self._outlet = None
            self._admission.forget(len(self._calls))
            self._calls.clear()
            self._events.clear()

    # The leader.

    async def _lead(self) -> None:
        """Answer what the peer sends, until a call suspends in this task and so keeps it."""
        call: Call | None = None
        with trio.CancelScope() as scope:
            calls_in_a_row = 0
            while True:
                self._leader_will_flush = True
                call = self._next_call_to_step()
                if call is None:
                    self._leader_will_flush = False
                    self.flush()
                    if not await self._receive():
                        break
                    calls_in_a_row = 0
                    continue
                if calls_in_a_row == _CALLS_PER_TURN:
                    self.flush()
                    await trio.lowlevel.checkpoint()
                    calls_in_a_row = 0
                calls_in_a_row += 1
                await self._step(call, scope)
                if call.suspended:
                    break
                call.method.learn(suspended=False)
        if call is None:
            self._abandon()  # the peer has ended the connection
        elif scope.cancelled_caught:
            call.end_cancelled()

    async def _step(self, call: Call, scope: trio.CancelScope) -> None:
        context = contextvars.copy_context()
        hand_on = functools.partial(self._hand_on, call, scope, context)
        await await_noticing_suspension(call.run(), context, hand_on)

    def _hand_on(self, call: Call, scope: trio.CancelScope, context: contextvars.Context) -> None:
        """Make the leader's task the call's, and let another task lead."""
        assert self._nursery is not None
        call.method.learn(suspended=True)
        self._nursery.start_soon(self._lead)
        call.attach(scope)
        trio.lowlevel.current_task().context = context

    async def _run_in_own_task(self, call: Call) -> None:
        suspended = False

        def note_suspension() -> None:
            nonlocal suspended
            suspended = True
            trio.lowlevel.current_task().context = context

        context = contextvars.copy_context()
        with trio.CancelScope() as scope:
            call.attach(scope)
            await await_noticing_suspension(call.run(), context, note_suspension)
        if scope.cancelled_caught:
            call.end_cancelled()
        call.method.learn(suspended=suspended)

    async def _receive(self) -> bool:
        """Wait for bytes and make events of them; False once the peer has ended."""
        assert self._outlet is not None
        await self._outlet.wait_written(_UNSENT_BYTES_MAX)
        await self._wire.wait_readable()
        try:
            data = self._wire.receive_nowait()
        except WireClosedError:
            return False
        if data is None:
            return True
        if not data:
            return False
        now_s = trio.current_time()
        patience = self._patience
        patience.received_s = now_s
        self._events.extend(self.codec.receive(data, now_s))
        if not self.codec.awaits_rest_of_frame:
            patience.frame_began_s = None
        elif patience.frame_began_s is None or self._events:
            patience.frame_began_s = now_s
        self._outlet.wake_senders()
        return True

    # Events.

    def _next_call_to_step(self) -> Call | None:
        """Handle events up to one that completes a call that likely ends at once."""
        events = self._events
        while events:
            event = events.popleft()
            call: Call | None = None
            if isinstance(event, HeadersReceived):
                call = self._on_headers(event)
            elif isinstance(event, DataReceived):
                call = self._on_data(event)
            elif isinstance(event, StreamReset):
                self._drop(event.stream_id)
            elif isinstance(event, HeadersTooLarge):
                self._on_headers_too_large(event.stream_id)
            elif isinstance(event, PingAcknowledged):
                self._on_ping_acknowledged(event.payload)
            elif isinstance(event, PeerGoesAway):
                self._drain_finished = True  # it leaves once its calls have ended
            elif isinstance(event, ConnectionFailed):
                self._on_connection_failed(event)
            if call is not None:
                if not call.method.usually_suspends:
                    return call
                assert self._nursery is not None
                self._nursery.start_soon(self._run_in_own_task, call)
        return None

    def _on_headers(self, event: HeadersReceived[RequestHead]) -> Call | None:
        """Begin a call; return it if it can run already."""
        stream_id, head, ended = event
        call = self._calls.get(stream_id)
        if call is not None:
            call.feed(b"", ended=ended)  # trailers: gRPC's requests have none that mean anything
            return self._runnable(call)
        method = self._methods.find(head.path)
        if head.refusal is not None:
            self.codec.send_headers(stream_id, encode_http_refusal(head.refusal), end_stream=True)
        elif method is None:
            status = self._methods.status_of_absent(head.path)
            self._refuse(stream_id, status.status_code, status.status_message)
        elif head.encoding != "identity" and head.encoding not in ENCODINGS:
            message = f"grpc-encoding {head.encoding[:50]!r} is not known"
            self._refuse(stream_id, StatusCode.UNIMPLEMENTED, message)
        elif head.timeout_fault:
            self._refuse(stream_id, StatusCode.INTERNAL, "grpc-timeout is malformed")
        else:
            return self._begin(stream_id, head, method, ended=ended)
        return None

    def _on_headers_too_large(self, stream_id: int) -> None:
        call = self._calls.get(stream_id)
        if call is not None:
            call.fail(StatusCode.RESOURCE_EXHAUSTED, "the trailers are too large")
        else:
            self._refuse(stream_id, StatusCode.RESOURCE_EXHAUSTED, "the metadata is too large")

    def _begin(
        self, stream_id: int, head: RequestHead, method: Method, *, ended: bool
    ) -> Call | None:
        now_s = trio.current_time()
        refusal = self._admission.refusal(method.path, now_s - self._patience.received_s)
        if refusal is None and self.codec.queued_bytes > self._limits.unread_reply_bytes_max:
            refusal = Status(StatusCode.RESOURCE_EXHAUSTED, "read the replies before calling again")
        if refusal is not None:
            self._refuse_with(stream_id, refusal)
            return None
        call = Call(self, stream_id, head, method, now_s)
        self._calls[stream_id] = call
        self._admission.count()
        if ended:
            call.feed(b"", ended=True)
        return call if method.streams_requests else self._runnable(call)

    def _on_data(self, event: DataReceived) -> Call | None:
        """Hand data to its call; return the call if that completes its request."""
        stream_id, data, ended = event
        call = self._calls.get(stream_id)
        if call is None:
            self.codec.credit_connection(len(data))
            return None
        call.feed(data, ended=ended)
        return self._runnable(call)

    @staticmethod
    def _runnable(call: Call) -> Call | None:
        """Return a call whose one request message has come, as it is not running yet."""
        if call.request_ended and not call.ended and not call.method.streams_requests:
            return call
        return None

    def _drop(self, stream_id: int) -> None:
        """A stream was reset: cancel its call."""
        call = self._calls.get(stream_id)
        if call is not None:
            call.reset()

    def _refuse(self, stream_id: int, code: StatusCode, message: str) -> None:
        self._refuse_with(stream_id, Status(code, message))

    def _refuse_with(self, stream_id: int, status: Status) -> None:
        self.codec.send_headers(stream_id, encode_trailers(status, opens=True), end_stream=True)

    def _on_connection_failed(self, event: ConnectionFailed) -> None:
        self._refusals.note(ErrorCode(event.code).name.lower(), event.reason)
        for call in list(self._calls.values()):
            call.reset()
        self._begin_closing()

    def _on_ping_acknowledged(self, payload: bytes) -> None:
        if payload == _DRAIN_PING:
            self._finish_drain()
        elif payload == _KEEPALIVE_PING:
            self._patience.ping_sent_s = None

    # What calls ask of their connection.

    def flush_soon(self) -> None:
        if not self._leader_will_flush and not self._flush_is_due:
            self._flush_is_due = True
            self._flusher.flush_soon(self)

    def hold(self, size: int) -> None:
        self._held_bytes += size
        if size < 0:
            self.codec.credit_connection(-size)
        elif self._held_bytes > self._held_bytes_max:
            self._shed_largest_request()

    def _shed_largest_request(self) -> None:
        """Requests in parts may fill the window before any is complete: one has to go."""
        call = max(self._calls.values(), key=lambda call: call.waiting_bytes)
        if call.waiting_bytes:
            call.fail(
                StatusCode.RESOURCE_EXHAUSTED,
                "too many large requests at once on this connection; retry later",
            )

    async def wait_drained(self, stream_id: int, limit_bytes: int) -> None:
        if self._outlet is not None:
            await self._outlet.wait_drained(stream_id, limit_bytes)

    def forget(self, call: Call) -> None:
        if self._calls.pop(call.stream_id, None) is not None:
            self._admission.forget(1)
            if not self._calls:
                self._patience.idle_since_s = trio.current_time()

    def flush(self) -> None:
        self._flush_is_due = False
        if self._outlet is None:
            return
        self._outlet.flush()
        if (
            self._drain_finished
            and not self.codec.open_streams
            and self._outlet.blocked_since_s is None
        ):
            self._begin_closing()

    # The connection's end.

    def drain(self) -> None:
        """Ask the peer to go elsewhere; calls under way, and those on their way, still count."""
        patience = self._patience
        if patience.drain_began_s is None and patience.closing_since_s is None:
            patience.drain_began_s = trio.current_time()
            self.codec.begin_drain()
            self.codec.ping(_DRAIN_PING)
            self.flush()

    def _finish_drain(self) -> None:
        if self._patience.drain_began_s is not None and not self._drain_finished:
            self._drain_finished = True
            self.codec.finish_drain()
            self.flush_soon()

    def _begin_closing(self) -> None:
        """Send what is left and wait a moment for the peer to leave first.

        Closing at once would discard replies that the peer has not read if it is still sending.
        """
        if self._patience.closing_since_s is None:
            self._patience.closing_since_s = trio.current_time()
            self.flush()
            self._wire.end_sending()

    def _abandon(self) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def sweep(self, now_s: float) -> None:
        """Hold the peer to the limits of time. Called about once a second."""
        if self._patience.is_drain_overdue(now_s):
            self._finish_drain()
        match self._patience.judge(
            now_s,
            established=self.codec.established,
            blocked_since_s=None if self._outlet is None else self._outlet.blocked_since_s,
            busy=bool(self._calls or self.codec.open_streams),
        ):
            case Due.ABANDON:
                self._abandon()
            case Due.CUT_OFF:
                self._cut_off("a frame or header block took too long")
            case Due.CALLS:
                self._sweep_calls(now_s)
            case Due.DRAIN:
                self.drain()

    def _sweep_calls(self, now_s: float) -> None:
        limits = self._limits
        for call in list(self._calls.values()):
            waits_for_request = not call.suspended and not call.request_ended
            if waits_for_request and now_s > call.deadline_s:
                call.fail(StatusCode.DEADLINE_EXCEEDED, "the request took longer than its timeout")
            elif waits_for_request and now_s - call.began_s > limits.request_timeout_s:
                call.fail(StatusCode.CANCELLED, "the request did not arrive in time")
        if self.codec.queued_bytes:
            for stream_id in self.codec.reset_stalled(now_s, limits.stall_timeout_s):
                self._drop(stream_id)
        match self._patience.keepalive(now_s):
            case Due.ABANDON:
                self._abandon()
            case Due.PING:
                self._patience.ping_sent_s = now_s
                self.codec.ping(_KEEPALIVE_PING)
        self.flush()

    def _cut_off(self, reason: str) -> None:
        self.codec.close(ErrorCode.ENHANCE_YOUR_CALM, reason)
        self._on_connection_failed(ConnectionFailed(ErrorCode.ENHANCE_YOUR_CALM, reason))
