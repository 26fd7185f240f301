"""Hypercorn's protocol on Trio: binding, serving, and stopping in bounded time."""

import functools
import logging
import socket
from collections.abc import Sequence
from typing import Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from starlette.routing import BaseRoute, Route

from engine.errors import AddressInUseError
from engine.health import HealthBoard
from engine.loopback import is_loopback
from engine.web.client_stream import ClientStream
from engine.web.guard import Guard
from engine.web.routes import build_app

_BACKLOG: Final = 128
_MOST_CONNECTIONS: Final = 1_024
"""Four for each Console that may be open; without a bound they would take the descriptors that the
other servers and the data file need."""
_STALL_S: Final = 10.0

logger = logging.getLogger(__name__)


async def run_http(
    host: str,
    port: int,
    health: HealthBoard,
    *,
    grace_s: float,
    stall_s: float = _STALL_S,
    most_connections: int = _MOST_CONNECTIONS,
    extra_routes: Sequence[BaseRoute] = (),
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve metrics and health until cancelled.

    Args:
      host: address or name to listen on.
      port: TCP port; 0 means any free one.
      health: what `/readyz` tells.
      grace_s: how long requests under way may take after cancellation.
      stall_s: how long a client may take to accept a part of its answer.
      most_connections: past it a new connection is closed at once.
      extra_routes: further routes of other parts.
      task_status: started with the bound (host, port), once connections are accepted.
    Raises:
      AddressInUseError: the address cannot be listened on.
    Cancellation: stops accepting, closes idle connections, lets requests under way finish within
      `grace_s`, then cuts them.
    """
    if not is_loopback(host):
        logger.warning(
            "http without TLS: tokens and data cross the network in the clear",
            extra={"host": host, "remedy": "a proxy with TLS, or an SSH tunnel to 127.0.0.1"},
        )
    listening = _bind(host, port)
    bound_port: int = listening.getsockname()[1]
    guarded = Guard(build_app(health, extra_routes=extra_routes), host, _post_paths(extra_routes))
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    clients = _Clients(guarded, stall_s=stall_s, most=most_connections)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(clients.serve, listener, stop, grace_s)
            logger.info("http server started", extra={"host": host, "port": bound_port})
            task_status.started((host, bound_port))
            await trio.sleep_forever()
        finally:
            stop.set()
    logger.info("http server stopped")


class _Clients:
    """All connections of a server. Used from the Trio thread."""

    def __init__(self, app: Guard, *, stall_s: float, most: int) -> None:
        # Both sides mean ASGI; one types its messages as mappings, the other one by one.
        self._app = ASGIWrapper(cast(ASGIFramework, app))
        self._config = _server_config()
        self._context = WorkerContext(None)
        self._stall_s = stall_s
        self._most = most
        self._open: set[trio.SocketStream] = set()

    async def serve(
        self,
        listener: trio.SocketListener,
        stop: trio.Event,
        grace_s: float,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop` is set; then let requests under way finish within `grace_s`.

        Cancellation: none but by `stop`, which somebody sets.
        """
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as connections:
                    async with trio.open_nursery() as accepting:
                        accept = functools.partial(
                            trio.serve_listeners,
                            self._serve_one,
                            [listener],
                            handler_nursery=connections,
                        )
                        accepting.start_soon(accept)
                        task_status.started()
                        await stop.wait()
                        accepting.cancel_scope.cancel()
                    # Closes those that are idle.
                    await self._context.terminated.set()
                    nursery.start_soon(self._cut_after, grace_s, connections.cancel_scope)
                nursery.cancel_scope.cancel()

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        if len(self._open) >= self._most:
            return
        self._open.add(stream)
        try:
            with trio.CancelScope() as scope:
                client = ClientStream(stream, self._stall_s, scope.cancel)
                state = ConnectionState({})
                await TCPServer(self._app, self._config, self._context, state, client)
        finally:
            self._open.discard(stream)

    async def _cut_after(self, grace_s: float, connections: trio.CancelScope) -> None:
        await trio.sleep(grace_s)
        connections.cancel()
        # Wakes those who send behind a shield.
        for stream in self._open:
            stream.socket.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise AddressInUseError(
            f"the HTTP server cannot listen on {host} port {port}: {error.strerror or error}; "
            "set server_ports.metrics to a free port, or to 0 for any"
        ) from error


def _post_paths(routes: Sequence[BaseRoute]) -> frozenset[str]:
    return frozenset(
        route.path
        for route in routes
        if isinstance(route, Route) and "POST" in (route.methods or ())
    )


def _server_config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    return config
