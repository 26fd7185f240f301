"""Writes a connection's output to its socket."""

from collections.abc import Callable
from typing import Any

import trio

from engine.rpc.http2.codec import Codec
from engine.rpc.transport.wire import Wire, WireClosedError


class Outlet:
    """The sending side of a connection, for server and client alike.

    `flush` writes at once what the socket takes. If that is not all, a task of its own does the
    rest, and the codec holds back data beyond its high-water mark.

    Args:
      nursery: where that task lives.
      on_lost: called when the socket fails.
    """

    def __init__(
        self, wire: Wire, codec: Codec[Any], nursery: trio.Nursery, on_lost: Callable[[], None]
    ) -> None:
        self._wire = wire
        self._codec = codec
        self._nursery = nursery
        self._on_lost = on_lost
        self._unsent: list[bytes | memoryview] = []
        self._progress_s = 0.0
        self._written = trio.Event()
        self._senders: dict[int, tuple[int, trio.Event]] = {}

    @property
    def blocked_since_s(self) -> float | None:
        """When the socket last took something, if it has not taken all; else None."""
        return self._progress_s if self._unsent else None

    def flush(self) -> None:
        """Write what is ready, as far as the socket takes it."""
        while not self._unsent and (chunks := self._codec.take_output()):
            try:
                sent = self._wire.send_nowait(chunks)
            except WireClosedError:
                self._on_lost()
                return
            self._unsent = rest_after(chunks, sent)
            if self._unsent:
                self._progress_s = trio.current_time()
                self._written = trio.Event()
                self._nursery.start_soon(self._write_rest)
        if self._senders:
            self.wake_senders()

    async def _write_rest(self) -> None:
        while self._unsent:
            await self._wire.wait_writable()
            try:
                sent = self._wire.send_nowait(self._unsent)
            except WireClosedError:
                self._on_lost()
                return
            if sent:
                self._progress_s = trio.current_time()
                self._unsent = rest_after(self._unsent, sent)
        self._written.set()
        self.flush()

    async def wait_written(self, output_bytes_max: int) -> None:
        """Wait until the output has shrunk to `output_bytes_max`."""
        while self._unsent and self._codec.output_bytes > output_bytes_max:
            await self._written.wait()

    async def wait_drained(self, stream_id: int, limit_bytes: int) -> None:
        """Wait until no more than `limit_bytes` of a stream's data wait for the peer."""
        if self._codec.stream_queued_bytes(stream_id) <= limit_bytes:
            return
        drained = trio.Event()
        self._senders[stream_id] = (limit_bytes, drained)
        try:
            await drained.wait()
        finally:
            del self._senders[stream_id]

    def wake_senders(self) -> None:
        """Wake those whose data has drained; after frames were received."""
        for stream_id, (limit_bytes, drained) in self._senders.items():
            if self._codec.stream_queued_bytes(stream_id) <= limit_bytes:
                drained.set()

    def close(self) -> None:
        """Let those go who wait for data to drain: nothing drains any more."""
        for _, drained in self._senders.values():
            drained.set()


def rest_after(chunks: list[bytes | memoryview], size: int) -> list[bytes | memoryview]:
    """Return what is left of chunks without their first `size` bytes."""
    for index, chunk in enumerate(chunks):
        if size < len(chunk):
            return [memoryview(chunk)[size:], *chunks[index + 1 :]] if size else chunks[index:]
        size -= len(chunk)
    return []
