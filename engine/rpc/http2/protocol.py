"""One HTTP/2 connection (RFC 9113) as a gRPC peer needs it, without I/O.

`receive` turns bytes into events; the `send_*` methods put frames into the output, which the owner
takes and writes to the socket. Every limit is enforced here, so that no layer above sees what a
peer was not allowed to send. Errors of a stream reset the stream; errors of the connection put a
GOAWAY into the output and end it.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic

from engine.rpc.http2 import frames
from engine.rpc.http2.events import (
    ConnectionFailed,
    DataReceived,
    Event,
    H,
    HeadersReceived,
    HeadersTooLarge,
    PeerGoesAway,
    PeerSettingsChanged,
    PingAcknowledged,
    StreamReset,
)
from engine.rpc.http2.frame_reader import BrokenRuleError, FrameReader, strip_padding
from engine.rpc.http2.frames import ErrorCode, Setting
from engine.rpc.http2.header_blocks import (
    Field,
    HeaderBlockError,
    HeaderDecoder,
    HeaderListTooLargeError,
)
from engine.rpc.http2.limits import Http2Limits, RateLimit
from engine.rpc.http2.output import Output
from engine.rpc.http2.settings import pack_preface, read_settings
from engine.rpc.http2.streams import Stream

# How many ended streams are remembered, to tell late frames of theirs from misuse.
_REMEMBERED_STREAMS: Final = 1_024


class Http2Protocol(Generic[H]):
    """The state of one connection.

    Args:
      client: True for the side that opens streams.
      limits: what the peer may cost us.
      interpret: makes a `Head` of a block's fields; its result is remembered with the block.
    """

    def __init__(
        self,
        *,
        client: bool,
        limits: Http2Limits,
        interpret: Callable[[tuple[Field, ...]], H],
    ) -> None:
        self._client = client
        self._limits = limits
        self._decoder = HeaderDecoder(interpret, limits.max_header_list_bytes)
        self._output = Output(limits.output_high_water_bytes)
        self._streams: dict[int, Stream] = {}
        self._events: list[Event[H]] = []
        self._now_s = 0.0

        self._reader = FrameReader(limits, b"" if client else frames.CLIENT_PREFACE)
        self._settings_received = False
        self._settings_acknowledged = False
        self._failed = False

        self._receive_window = limits.connection_window_bytes
        self._uncredited_bytes = 0
        self._peer_initial_window = frames.DEFAULT_WINDOW_BYTES
        self.peer_max_streams = frames.MAX_STREAM_ID

        self._next_stream_id = 1
        self._highest_peer_stream_id = 0
        self._last_accepted_stream_id = frames.MAX_STREAM_ID
        self._ended_ids: deque[int] = deque(maxlen=_REMEMBERED_STREAMS)
        self._reset_ids: deque[int] = deque(maxlen=_REMEMBERED_STREAMS)

        self._resets = RateLimit(limits.max_resets_per_s)
        self._pings = RateLimit(limits.max_pings_per_s)
        self._settings = RateLimit(limits.max_settings_per_s)
        self._empty_data = RateLimit(limits.max_empty_data_per_s)
        self._window_updates = RateLimit(limits.max_window_updates_per_s)
        self._ignored_frames = RateLimit(limits.max_ignored_frames_per_s)

        self._output.write(pack_preface(limits, client=client))

    # What the owner asks and tells.

    @property
    def open_streams(self) -> int:
        """Streams that neither side has finished with."""
        return len(self._streams)

    @property
    def queued_bytes(self) -> int:
        """Data of all streams that waits for windows."""
        return self._output.queued_bytes

    @property
    def awaits_rest_of_frame(self) -> bool:
        """True while the peer owes us something it began: preface, frame or header block."""
        return self._reader.awaits_rest

    @property
    def established(self) -> bool:
        """True once the peer's preface has arrived whole."""
        return self._settings_received

    @property
    def output_bytes(self) -> int:
        """How much `take_output` would return, at least."""
        return self._output.ready_bytes

    def take_output(self) -> list[bytes | memoryview]:
        """Return the bytes to write to the socket next, in chunks; none if there are none."""
        data = self._output.take()
        if self._output.ended:
            self._forget_ended()
        return data

    def stream_queued_bytes(self, stream_id: int) -> int:
        """Return how much of a stream's data waits for windows; 0 for one that has ended."""
        stream = self._streams.get(stream_id)
        return stream.queued_bytes if stream is not None else 0

    def is_open(self, stream_id: int) -> bool:
        """Return whether frames may still be sent on the stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and not (stream.local_ended or stream.end_queued)

    def open_stream(self) -> int:
        """Return the id of a new stream (clients only); its headers are sent next."""
        stream_id = self._next_stream_id
        self._next_stream_id += 2
        self._streams[stream_id] = Stream(
            stream_id, self._peer_initial_window, self._limits.stream_window_bytes
        )
        return stream_id

    @property
    def stream_ids_exhausted(self) -> bool:
        """True once no further stream fits in the id's 31 bits."""
        return self._next_stream_id > frames.MAX_STREAM_ID

    def send_headers(self, stream_id: int, block: bytes, *, end_stream: bool = False) -> None:
        """Send a header block; nothing if the stream has ended meanwhile."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended:
            return
        self._output.write_headers(stream, block, end_stream=end_stream)
        if stream.local_ended:
            self._finish_local(stream)

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        """Send data, at once or when windows open; nothing if the stream has ended meanwhile."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_ended:
            return
        self._output.write_data(stream, data, end_stream=end_stream)
        if stream.local_ended:
            self._finish_local(stream)
        if self._output.ended:
            self._forget_ended()

    def reset_stream(self, stream_id: int, code: ErrorCode) -> None:
        """End a stream from our side at once, dropping what it still had to send."""
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return
        self._output.discard(stream)
        self._reset_ids.append(stream_id)
        self._output.write(frames.pack_rst_stream(stream_id, code))

    def reset_stalled(self, now_s: float, stall_s: float) -> list[int]:
        """Reset streams whose data the peer's windows have held back, unmoved, for `stall_s`.

        Returns: their ids.
        """
        self._output.now_s = now_s
        stalled = [stream.id for stream in self._output.stalled(now_s - stall_s)]
        for stream_id in stalled:
            self.reset_stream(stream_id, ErrorCode.CANCEL)
        return stalled

    def credit_connection(self, size: int) -> None:
        """Give back `size` bytes of received data that no longer occupy memory."""
        self._uncredited_bytes += size
        if self._uncredited_bytes >= self._limits.connection_window_bytes // 4:
            self._output.write(frames.pack_window_update(0, self._uncredited_bytes))
            self._receive_window += self._uncredited_bytes
            self._uncredited_bytes = 0

    def credit_stream(self, stream_id: int, size: int) -> None:
        """Let the peer send `size` bytes more on a stream."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.remote_ended:
            return
        stream.uncredited_bytes += size
        if stream.uncredited_bytes >= self._limits.stream_window_bytes // 4:
            self._output.write(frames.pack_window_update(stream_id, stream.uncredited_bytes))
            stream.receive_window += stream.uncredited_bytes
            stream.uncredited_bytes = 0

    def ping(self, payload: bytes) -> None:
        """Send a PING with eight bytes; `PingAcknowledged` returns them."""
        self._output.write(frames.pack_ping(payload, ack=False))

    def begin_drain(self) -> None:
        """Announce the end: the peer shall open no more streams, those on their way still count."""
        self._output.write(frames.pack_goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR, b""))

    def finish_drain(self) -> None:
        """Close the door: streams from now on are ignored, the peer is told which were the last."""
        self._last_accepted_stream_id = self._highest_peer_stream_id
        self._output.write(
            frames.pack_goaway(self._highest_peer_stream_id, ErrorCode.NO_ERROR, b"")
        )

    def close(self, code: ErrorCode, reason: str) -> None:
        """End the connection: a GOAWAY is sent, nothing more is received."""
        if not self._failed:
            self._failed = True
            last = min(self._highest_peer_stream_id, self._last_accepted_stream_id)
            self._output.write(frames.pack_goaway(last, code, reason.encode()))

    # Receiving.

    def receive(self, data: bytes, now_s: float) -> list[Event[H]]:
        """Return what the bytes mean.

        Args:
          data: what came from the socket, cut anywhere.
          now_s: the time on any steady clock, for the limits of rates.
        """
        events: list[Event[H]] = []
        if self._failed:
            return events
        self._events = events
        self._now_s = self._output.now_s = now_s
        try:
            handlers = self._HANDLERS
            for kind, flags, stream_id, payload in self._reader.read(data):
                if kind < len(handlers):
                    handlers[kind](self, flags, stream_id, payload)
                else:
                    self._limit(self._ignored_frames, "too many frames of unknown types")
        except BrokenRuleError as error:
            self.close(error.code, error.reason)
            events.append(ConnectionFailed(error.code, error.reason))
        self._events = []
        if self._output.ended:
            self._forget_ended()
        return events

    def _limit(self, rate: RateLimit, reason: str) -> None:
        if rate.exceeded(self._now_s):
            raise BrokenRuleError(ErrorCode.ENHANCE_YOUR_CALM, reason)

    def _fail_stream(self, stream_id: int, code: ErrorCode) -> None:
        """Answer the peer's error on a stream; a peer that lives on errors is a flood."""
        self._limit(self._resets, "too many stream errors")
        if stream_id in self._streams:
            self._events.append(StreamReset(stream_id, code, by_peer=False))
            self.reset_stream(stream_id, code)
        else:
            self._reset_ids.append(stream_id)
            self._output.write(frames.pack_rst_stream(stream_id, code))

    def _check_not_idle(self, stream_id: int) -> None:
        """A frame on a stream that nobody opened ends the connection (section 5.1)."""
        ours = bool(stream_id & 1) == self._client
        if not stream_id:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "a stream's frame on stream 0")
        if (ours and stream_id >= self._next_stream_id) or (
            not ours and stream_id > self._highest_peer_stream_id
        ):
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "a frame on an idle stream")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise BrokenRuleError(
                ErrorCode.FLOW_CONTROL_ERROR, "data beyond the connection's window"
            )
        stream = self._streams.get(stream_id)
        if stream is None or stream.remote_ended:
            self._refuse_data(stream_id, size)
            return
        stream.receive_window -= size
        if stream.receive_window < 0:
            self.credit_connection(size)
            self._fail_stream(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
            return
        if flags & frames.FLAG_PADDED:
            payload = strip_padding(payload)
            self.credit_connection(size - len(payload))
            self.credit_stream(stream_id, size - len(payload))
        ended = bool(flags & frames.FLAG_END_STREAM)
        if not payload and not ended:
            self._limit(self._empty_data, "too many empty DATA frames")
            return
        if stream.content_length is not None or not stream.head_received:
            stream.body_bytes += len(payload)
            if not stream.head_received or stream.breaks_content_length(ended=ended):
                self.credit_connection(len(payload))
                self._fail_stream(stream_id, ErrorCode.PROTOCOL_ERROR)
                return
        self._events.append(DataReceived(stream_id, payload, ended))
        if ended:
            self._finish_remote(stream)

    def _refuse_data(self, stream_id: int, size: int) -> None:
        self._check_not_idle(stream_id)
        self.credit_connection(size)
        if stream_id in self._reset_ids or stream_id > self._last_accepted_stream_id:
            return  # it was on its way when we reset the stream
        self._fail_stream(stream_id, ErrorCode.STREAM_CLOSED)

    def _on_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        """Take a whole header block; the reader has put it together."""
        ends_stream = bool(flags & frames.FLAG_END_STREAM)
        head: H | None
        try:
            head = self._decoder.decode(block)
        except HeaderBlockError as error:
            raise BrokenRuleError(ErrorCode.COMPRESSION_ERROR, str(error)) from error
        except HeaderListTooLargeError:
            head = None
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._admit_stream(stream_id)
            if stream is None:
                return
        elif stream.remote_ended:
            self._fail_stream(stream_id, ErrorCode.STREAM_CLOSED)
            return
        if head is None:
            self._events.append(HeadersTooLarge(stream_id, ends_stream))
        elif self._breaks_rules(stream, head, ends_stream=ends_stream):
            self._fail_stream(stream_id, ErrorCode.PROTOCOL_ERROR)
            return
        else:
            self._events.append(HeadersReceived(stream_id, head, ends_stream))
        stream.head_received = head is None or not head.informational
        if ends_stream:
            self._finish_remote(stream)

    def _breaks_rules(self, stream: Stream, head: H, *, ends_stream: bool) -> bool:
        if stream.head_received:
            return (
                head.trailing_fault is not None
                or not ends_stream
                or stream.breaks_content_length(ended=True)
            )
        if not stream.head_received and not head.informational:
            stream.content_length = head.content_length
        return head.opening_fault is not None or (
            ends_stream and (head.informational or stream.breaks_content_length(ended=True))
        )

    def _admit_stream(self, stream_id: int) -> Stream | None:
        """Return the stream that a peer's HEADERS opens, or None if it opens none."""
        if stream_id in self._reset_ids:
            return None
        if self._client or not stream_id & 1:
            self._check_not_idle(stream_id)
            self._fail_stream(stream_id, ErrorCode.STREAM_CLOSED)
            return None
        if stream_id <= self._highest_peer_stream_id:
            if stream_id in self._ended_ids:
                raise BrokenRuleError(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "stream ids go backwards")
        self._highest_peer_stream_id = stream_id
        if stream_id > self._last_accepted_stream_id:
            return None  # it crossed our GOAWAY, which tells the peer to try elsewhere
        if len(self._streams) >= self._limits.max_concurrent_streams:
            # Until our settings are known, a peer may take the number of streams for unlimited.
            if self._settings_acknowledged:
                self._limit(self._resets, "too many streams over the limit")
            self._reset_ids.append(stream_id)
            self._output.write(frames.pack_rst_stream(stream_id, ErrorCode.REFUSED_STREAM))
            return None
        stream = Stream(stream_id, self._peer_initial_window, self._limits.stream_window_bytes)
        self._streams[stream_id] = stream
        return stream

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        self._limit(self._ignored_frames, "too many PRIORITY frames")
        if not stream_id:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != frames.PRIORITY_BYTES:
            self._fail_stream(stream_id, ErrorCode.FRAME_SIZE_ERROR)
        elif frames.unpack_uint32(payload) & frames.MAX_STREAM_ID == stream_id:
            self._fail_stream(stream_id, ErrorCode.PROTOCOL_ERROR)

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has a wrong size")
        self._check_not_idle(stream_id)
        self._limit(self._resets, "too many resets")
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._output.discard(stream)
            self._ended_ids.append(stream_id)
            code = frames.unpack_uint32(payload)
            self._events.append(StreamReset(stream_id, code, by_peer=True))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.FLAG_ACK:
            if payload:
                raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ack has a payload")
            self._limit(self._settings, "too many SETTINGS acks")
            self._settings_acknowledged = True
            return
        settings = read_settings(payload, from_client=not self._client)
        self._limit(self._settings, "too many SETTINGS")
        # The acknowledgement goes first: data that a wider window lets out must come after it.
        self._output.write(frames.SETTINGS_ACK)
        for setting, value in settings:
            self._apply_setting(setting, value)
        self._settings_received = True
        self._events.append(PeerSettingsChanged())

    def _apply_setting(self, setting: int, value: int) -> None:
        if setting == Setting.HEADER_TABLE_SIZE:
            # Our blocks leave the table alone; only its shrinking must be acknowledged in one.
            if value < frames.DEFAULT_HEADER_TABLE_BYTES:
                self._output.shrink_table()
        elif setting == Setting.MAX_CONCURRENT_STREAMS:
            self.peer_max_streams = value
        elif setting == Setting.INITIAL_WINDOW_SIZE:
            self._change_initial_window(value)
        elif setting == Setting.MAX_FRAME_SIZE:
            self._output.max_frame_bytes = value

    def _change_initial_window(self, value: int) -> None:
        change = value - self._peer_initial_window
        self._peer_initial_window = value
        for stream in list(self._streams.values()):
            if stream.send_window + change > frames.MAX_WINDOW:
                raise BrokenRuleError(ErrorCode.FLOW_CONTROL_ERROR, "a window overflows")
            self._output.open_window(stream, change)

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE is not allowed")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "PING has a wrong size")
        if self._output.data_sent:
            self._output.data_sent = False  # a receiver of data measures its bandwidth by pings
        else:
            self._limit(self._pings, "too many pings")
        if flags & frames.FLAG_ACK:
            self._events.append(PingAcknowledged(payload))
        else:
            self._output.write(frames.pack_ping(payload, ack=True))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
        self._limit(self._settings, "too many GOAWAY frames")
        self._events.append(PeerGoesAway(*frames.unpack_goaway(payload)))

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise BrokenRuleError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has a wrong size")
        if self._output.credits_due:
            self._output.credits_due -= 1  # a busy client owes us these
        else:
            self._limit(self._window_updates, "too many WINDOW_UPDATE frames")
        increment = frames.unpack_uint32(payload) & frames.MAX_WINDOW
        if not stream_id:
            if not increment:
                raise BrokenRuleError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
            if self._output.send_window + increment > frames.MAX_WINDOW:
                raise BrokenRuleError(ErrorCode.FLOW_CONTROL_ERROR, "the window overflows")
            self._output.send_window += increment
            self._output.pump()
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            self._check_not_idle(stream_id)
        elif not increment:
            self._fail_stream(stream_id, ErrorCode.PROTOCOL_ERROR)
        elif stream.send_window + increment > frames.MAX_WINDOW:
            self._fail_stream(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        else:
            self._output.open_window(stream, increment)

    # Functions, not bound methods: those would tie the connection and all it holds into a cycle.
    _HANDLERS: Final = (
        _on_data,
        _on_headers,
        _on_priority,
        _on_rst_stream,
        _on_settings,
        _on_push_promise,
        _on_ping,
        _on_goaway,
        _on_window_update,
    )

    # The ends of streams.

    def _finish_remote(self, stream: Stream) -> None:
        stream.remote_ended = True
        if stream.local_ended:
            self._forget(stream)

    def _finish_local(self, stream: Stream) -> None:
        if stream.remote_ended:
            self._forget(stream)
        elif not self._client:
            # The answer is complete, so what the client still sends is of no use (section 8.1).
            self.reset_stream(stream.id, ErrorCode.NO_ERROR)

    def _forget_ended(self) -> None:
        ended, self._output.ended = self._output.ended, []
        for stream in ended:
            if stream.id in self._streams:
                self._finish_local(stream)

    def _forget(self, stream: Stream) -> None:
        if self._streams.pop(stream.id, None) is not None:
            self._ended_ids.append(stream.id)
