"""The sending half of a connection: frames ready for the socket, and data held back by windows.

Data goes straight to the output while windows are open. What they hold back waits in its stream;
streams whose own window is open take turns, one frame each, until the connection's window or the
high-water mark of the output stops them.
"""

from collections import deque
from typing import Final

from engine.rpc.http2 import frames
from engine.rpc.http2.header_blocks import TABLE_SIZE_ZERO
from engine.rpc.http2.streams import Stream

# A frame's header and payload are two writes to the output; larger frames mean fewer of them, but
# also longer turns of one stream.
_LARGEST_DATA_FRAME_BYTES = 512 << 10

# Below this average, copying chunks into one is cheaper than handing them to the kernel singly.
_WORTH_A_CHUNK_BYTES = 8 << 10

_CREDITS_A_FRAME: Final = 2


class Output:
    """What one connection sends, in order."""

    def __init__(self, high_water_bytes: int) -> None:
        self._high_water_bytes = high_water_bytes
        self._chunks: list[bytes | memoryview] = []
        self._bytes = 0
        self._ready: deque[Stream] = deque()
        self._shrink_table = False
        self.send_window = frames.DEFAULT_WINDOW_BYTES
        self.max_frame_bytes = frames.DEFAULT_MAX_FRAME_BYTES
        self.queued_bytes = 0
        """Data of all streams that waits for windows or for the output to drain."""
        self._queues: dict[Stream, float] = {}
        """Streams that have to wait, and when they last moved."""
        self.now_s = 0.0
        self.data_sent = False
        """True if data has left since this was last cleared."""
        self.credits_due = 0
        """WINDOW_UPDATE frames that the peer owes for our data, for stream and connection."""
        self.ended: list[Stream] = []
        """Streams whose last frame left the queue since this was last emptied."""

    @property
    def ready_bytes(self) -> int:
        """How much is ready for the socket."""
        return self._bytes

    def take(self) -> list[bytes | memoryview]:
        """Return what is ready for the socket, and let waiting data take its place.

        Small frames come as one chunk, so that they are one copy; large ones are not copied.
        """
        if self._ready:
            self.pump()
        chunks, size = self._chunks, self._bytes
        if not chunks:
            return chunks
        self._chunks = []
        self._bytes = 0
        if self._ready:
            self.pump()
        if size < len(chunks) * _WORTH_A_CHUNK_BYTES:
            return [b"".join(chunks)]
        return chunks

    def write(self, frame: bytes) -> None:
        """Append a complete frame that no window applies to."""
        self._chunks.append(frame)
        self._bytes += len(frame)

    def shrink_table(self) -> None:
        """Tell the peer, with the next block, that its dynamic table stays empty."""
        self._shrink_table = True

    def write_headers(self, stream: Stream, block: bytes, *, end_stream: bool) -> None:
        """Send a header block; as trailers (`end_stream`) it waits for the stream's data."""
        if stream.queued_bytes:
            stream.trailers = block
            stream.end_queued = end_stream
            return
        if self._shrink_table:
            self._shrink_table = False
            block = TABLE_SIZE_ZERO + block
        self.write(
            frames.pack_headers(
                stream.id, block, end_stream=end_stream, max_frame_bytes=self.max_frame_bytes
            )
        )
        if end_stream:
            stream.local_ended = True

    def write_data(self, stream: Stream, data: bytes, *, end_stream: bool) -> None:
        """Send data now as far as the windows allow, the rest when they open."""
        size = len(data)
        if (
            not stream.queued_bytes
            and size <= stream.send_window
            and size <= self.send_window
            and size <= self.max_frame_bytes
            and self._bytes < self._high_water_bytes
        ) or not (size or stream.queued_bytes):
            self._write_frame(stream, data, end_stream=end_stream)
            return
        stream.end_queued = end_stream
        if not size:
            return
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(memoryview(data))
        became_ready = not stream.queued_bytes and stream.send_window > 0
        self._queues.setdefault(stream, self.now_s)
        stream.queued_bytes += size
        self.queued_bytes += size
        if became_ready:
            self._ready.append(stream)
            self.pump()

    def open_window(self, stream: Stream, increment: int) -> None:
        """Widen (or, by settings, narrow) one stream's window."""
        was_closed = stream.send_window <= 0
        stream.send_window += increment
        if was_closed and stream.send_window > 0 and stream.queued_bytes:
            self._ready.append(stream)
            self.pump()

    def discard(self, stream: Stream) -> None:
        """Drop what a reset stream still had to send."""
        stream.local_ended = True
        if not stream.queued_bytes:
            return
        del self._queues[stream]
        self.queued_bytes -= stream.queued_bytes
        stream.queued_bytes = 0
        stream.queue = None
        stream.trailers = None
        if stream in self._ready:
            self._ready.remove(stream)

    def stalled(self, before_s: float) -> list[Stream]:
        """Return the streams whose data has not moved since `before_s`."""
        return [stream for stream, moved_s in self._queues.items() if moved_s < before_s]

    def pump(self) -> None:
        """Move waiting data to the output, a frame of each stream in turn."""
        while self._ready and self.send_window > 0 and self._bytes < self._high_water_bytes:
            stream = self._ready.popleft()
            # A setting may have narrowed the window since the stream was put here.
            if stream.send_window <= 0 or not stream.queued_bytes:
                continue
            self._send_queued_frame(stream)
            if stream.queued_bytes and stream.send_window > 0:
                self._ready.append(stream)

    def _send_queued_frame(self, stream: Stream) -> None:
        assert stream.queue is not None
        size = min(
            stream.send_window, self.send_window, self.max_frame_bytes, _LARGEST_DATA_FRAME_BYTES
        )
        piece = stream.queue.popleft()
        if len(piece) > size:
            stream.queue.appendleft(piece[size:])
            piece = piece[:size]
        stream.queued_bytes -= len(piece)
        self.queued_bytes -= len(piece)
        drained = not stream.queued_bytes
        self._queues[stream] = self.now_s
        self._write_frame(
            stream, piece, end_stream=drained and stream.end_queued and stream.trailers is None
        )
        if drained:
            del self._queues[stream]
            if stream.trailers is not None:
                block, stream.trailers = stream.trailers, None
                self.write_headers(stream, block, end_stream=stream.end_queued)
            if stream.local_ended:
                self.ended.append(stream)

    def _write_frame(self, stream: Stream, data: bytes | memoryview, *, end_stream: bool) -> None:
        size = len(data)
        flags = frames.FLAG_END_STREAM if end_stream else 0
        self._chunks.append(frames.pack_frame_header(size, frames.DATA, flags, stream.id))
        self._chunks.append(data)
        self._bytes += frames.FRAME_HEADER_BYTES + size
        stream.send_window -= size
        self.send_window -= size
        self.data_sent = True
        self.credits_due += _CREDITS_A_FRAME
        if end_stream:
            stream.local_ended = True
