"""Accepts connections on one listener, watches over them, drains them at the end."""

import functools
import logging
import ssl
from collections.abc import Callable
from typing import Final

import trio

from engine.rpc.http2.codec import Codec
from engine.rpc.http2.heads import RequestHead, read_request_head
from engine.rpc.http2.protocol import Http2Protocol
from engine.rpc.limits import TransportLimits
from engine.rpc.transport.admission import Admission
from engine.rpc.transport.connection import Connection
from engine.rpc.transport.flusher import Flusher
from engine.rpc.transport.methods import MethodTable
from engine.rpc.transport.refusals import Refusals
from engine.rpc.transport.wire import Wire, WireClosedError

# How often connections are held to the limits of time, which are seconds and minutes.
_SWEEP_INTERVAL_S: Final = 0.5
_LAG_INTERVAL_S: Final = 0.05


def open_server_codec(limits: TransportLimits) -> Codec[RequestHead]:
    """Return the codec of a new connection; the one place that chooses the implementation."""
    return Http2Protocol(client=False, limits=limits.http2, interpret=read_request_head)


class Server:
    """The connections of one port."""

    def __init__(
        self,
        methods: MethodTable,
        limits: TransportLimits,
        admission: Admission,
        *,
        tls: ssl.SSLContext | None = None,
        open_codec: Callable[[TransportLimits], Codec[RequestHead]] = open_server_codec,
    ) -> None:
        self._methods = methods
        self._limits = limits
        self._admission = admission
        self._tls = tls
        self._open_codec = open_codec
        self._flusher = Flusher()
        self._refusals = Refusals()
        self._connections: set[Connection] = set()
        self._open_sockets = 0
        self._draining = False

    @property
    def connections(self) -> int:
        """Sockets that are open, those in their handshake included."""
        return self._open_sockets

    async def run(
        self,
        listener: trio.SocketListener,
        stop: trio.Event,
        grace_s: float,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> bool:
        """Serve until `stop` is set, then drain.

        Returns: whether calls had to be cut off after `grace_s`.
        Cancellation: calls and connections end at once.
        """
        async with trio.open_nursery() as service:
            service.start_soon(self._flusher.run)
            service.start_soon(self._sweep)
            service.start_soon(self._watch_lag)
            with trio.CancelScope() as connections_scope:
                async with trio.open_nursery() as connections:
                    async with trio.open_nursery() as accepting:
                        accept = functools.partial(
                            trio.serve_listeners,
                            self._serve_stream,
                            [listener],
                            handler_nursery=connections,
                        )
                        accepting.start_soon(accept)
                        task_status.started()
                        await stop.wait()
                        accepting.cancel_scope.cancel()
                    await listener.aclose()
                    self._draining = True
                    connections_scope.deadline = trio.current_time() + grace_s
                    self._for_each_connection(Connection.drain)
            service.cancel_scope.cancel()
        self._refusals.close()
        return connections_scope.cancelled_caught

    async def _serve_stream(self, stream: trio.SocketStream) -> None:
        wire = Wire.of_stream(stream)
        if self._open_sockets >= self._limits.connections_max:
            self._refusals.note("too_many", "too many connections", level=logging.WARNING)
            wire.close()
            return
        self._open_sockets += 1
        try:
            if self._tls is not None:
                with trio.fail_after(self._limits.handshake_timeout_s):
                    await wire.start_tls(self._tls, server_side=True)
            await self._serve_connection(wire)
        except (WireClosedError, trio.TooSlowError) as error:
            self._refusals.note("handshake", str(error) or "timeout")
        finally:
            self._open_sockets -= 1
            wire.close()

    async def _serve_connection(self, wire: Wire) -> None:
        connection = Connection(
            wire,
            self._open_codec(self._limits),
            methods=self._methods,
            limits=self._limits,
            admission=self._admission,
            flusher=self._flusher,
            refusals=self._refusals,
        )
        self._connections.add(connection)
        if self._draining:  # it was in its handshake when the others were told
            connection.drain()
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def _for_each_connection(self, act: Callable[[Connection], None]) -> None:
        """A function of its own: in a task's loop, the variable would keep the last one alive."""
        for connection in list(self._connections):
            act(connection)

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(_SWEEP_INTERVAL_S)
            self._refusals.sweep(trio.current_time())
            self._for_each_connection(lambda connection: connection.sweep(trio.current_time()))

    async def _watch_lag(self) -> None:
        while True:
            due_s = trio.current_time() + _LAG_INTERVAL_S
            await trio.sleep_until(due_s)
            self._admission.note_lag(trio.current_time() - due_s)
