"""A TCP proxy whose network goes bad on command: slow, torn, cut, reset, deaf, silent.

It stands between two real programs, so that each sees what a bad network shows it and nothing
else: bytes are late, in odd pieces or not there, but never changed, and in order.
"""

import contextlib
import enum
import math
import random
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import trio

_CHUNK_BYTES = 65_536
_CHUNKS_UNDER_WAY = 64
"""What a direction holds besides the kernel's buffers; then its sender feels it."""
_CONNECT_S = 5.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends RST and forgets what was not delivered."""


class Way(enum.Enum):
    """A direction of a connection."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


BOTH_WAYS = frozenset(Way)


@attrs.frozen(kw_only=True)
class Conditions:
    """What the network is like. Times in seconds; as it comes, it is perfect."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """Up to this much is added to the latency of each piece; order is kept."""
    slice_bytes: int | None = None
    """What arrives together is passed on in pieces of one to so many bytes, one segment each."""
    held: frozenset[Way] = frozenset()
    """Directions in which nothing arrives, nor that the other side has hung up. What was sent
    meanwhile comes when it is over, as by the retransmissions of TCP."""
    refuses: bool = False
    """New connections are reset at once."""


PERFECT = Conditions()


class Proxy:
    """Passes connections on to a server. Made by `open_proxy`; used from the Trio thread."""

    def __init__(self, server_host: str, server_port: int, rng: random.Random) -> None:
        self._server = (server_host, server_port)
        self._rng = rng
        self._usual = self._conditions = PERFECT
        self._changes: list[dict[str, Any]] = []
        self._changed = trio.Event()
        self._connections: set[_Connection] = set()
        self.port = 0
        self.accepted = 0
        self.passed_bytes = dict.fromkeys(Way, 0)

    @property
    def address(self) -> str:
        """What clients are to connect to, as `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def conditions(self) -> Conditions:
        return self._conditions

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def set_conditions(self, conditions: Conditions) -> None:
        """Change the network for all connections, those that exist included."""
        self._usual = conditions
        self._apply()

    def _apply(self) -> None:
        conditions = self._usual
        for change in self._changes:
            conditions = attrs.evolve(conditions, **change)
        self._conditions = conditions
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def set_server_port(self, port: int) -> None:
        """Pass connections that are made from now on to a server that has moved."""
        self._server = (self._server[0], port)

    @contextmanager
    def under(self, **changes: Any) -> Iterator[None]:
        """Make the network worse while the block runs: `Conditions` by their names.

        Blocks of several tasks may overlap; of those that change the same, the latest counts.
        """
        self._changes.append(changes)
        self._apply()
        try:
            yield
        finally:
            # By identity: two may be alike.
            self._changes = [change for change in self._changes if change is not changes]
            self._apply()

    def cut(self) -> int:
        """Close both ends of all connections in order; return how many there were."""
        return self._end_all(by_reset=False)

    def reset(self) -> int:
        """Reset both ends of all connections; return how many there were."""
        return self._end_all(by_reset=True)

    def _end_all(self, *, by_reset: bool) -> int:
        connections = [*self._connections]
        for connection in connections:
            connection.end(by_reset=by_reset)
        return len(connections)

    async def wait_conditions_change(self) -> None:
        """Return when `set_conditions` has been called.

        Cancellation: a checkpoint.
        """
        await self._changed.wait()

    def draw_delay_s(self) -> float:
        """Return how long the next piece takes."""
        conditions = self._conditions
        return conditions.latency_s + conditions.jitter_s * self._rng.random()

    def draw_piece_bytes(self) -> int | None:
        """Return the size of the next piece; None if it need not be torn."""
        most = self._conditions.slice_bytes
        return None if most is None else self._rng.randint(1, most)

    async def handle(self, client: trio.SocketStream) -> None:
        """Pass one connection on until it ends, in whatever way."""
        self.accepted += 1
        async with client:
            if self._conditions.refuses:
                _set_reset_on_close(client)
                return
            try:
                with trio.fail_after(_CONNECT_S):
                    server = await trio.open_tcp_stream(*self._server)
            except (OSError, trio.TooSlowError):
                # Nobody listens: what a client would see of that is a connection that fails.
                _set_reset_on_close(client)
                return
            async with server:
                connection = _Connection(self, client, server)
                self._connections.add(connection)
                try:
                    await connection.run()
                finally:
                    self._connections.discard(connection)


@attrs.define(eq=False)
class _Connection:
    proxy: Proxy
    client: trio.SocketStream
    server: trio.SocketStream
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def end(self, *, by_reset: bool) -> None:
        if by_reset:
            _set_reset_on_close(self.client)
            _set_reset_on_close(self.server)
        self._scope.cancel()

    async def run(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on, self.client, self.server, Way.TO_SERVER)
                nursery.start_soon(self._pass_on, self.server, self.client, Way.TO_CLIENT)

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream, way: Way) -> None:
        """Pass on one direction to its end, late by the latency but not slower for it."""
        to_sink, under_way = trio.open_memory_channel[tuple[float, bytes]](_CHUNKS_UNDER_WAY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, under_way, sink, way)
            async with to_sink:
                due = -math.inf
                try:
                    while chunk := await source.receive_some(_CHUNK_BYTES):
                        due = max(due, trio.current_time() + self.proxy.draw_delay_s())
                        await to_sink.send((due, chunk))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    # One side was reset: so is the other.
                    self.end(by_reset=True)

    async def _deliver(
        self,
        under_way: trio.MemoryReceiveChannel[tuple[float, bytes]],
        sink: trio.SocketStream,
        way: Way,
    ) -> None:
        try:
            async with under_way:
                async for due, chunk in under_way:
                    await trio.sleep_until(due)
                    await self._send(chunk, sink, way)
            await self._wait_not_held(way)
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.end(by_reset=True)

    async def _send(self, chunk: bytes, sink: trio.SocketStream, way: Way) -> None:
        view = memoryview(chunk)
        while view:
            await self._wait_not_held(way)
            piece = view[: self.proxy.draw_piece_bytes()]
            await sink.send_all(piece)
            self.proxy.passed_bytes[way] += len(piece)
            view = view[len(piece) :]

    async def _wait_not_held(self, way: Way) -> None:
        while way in self.proxy.conditions.held:
            await self.proxy.wait_conditions_change()


def _set_reset_on_close(stream: trio.SocketStream) -> None:
    # The other end may have ended the connection first, and with it the socket's options.
    with contextlib.suppress(OSError, trio.ClosedResourceError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


@asynccontextmanager
async def open_proxy(
    server_port: int, *, seed: int, server_host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Proxy]:
    """Run a proxy on a port of its own while the block runs.

    Args:
      server_port: where connections are passed on to; nobody need listen there yet.
      seed: chooses jitter and pieces.
      port: where to listen; 0 for any that is free.
    """
    proxy = Proxy(server_host, server_port, random.Random(seed))
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        proxy.port = int(listeners[0].socket.getsockname()[1])
        nursery.start_soon(trio.serve_listeners, proxy.handle, listeners)
        try:
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
