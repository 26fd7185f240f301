"""Hypercorn on Trio: binding, serving, and stopping in bounded time."""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any, Final, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework
from starlette.routing import BaseRoute, Route

from engine.errors import AddressInUseError
from engine.health import HealthBoard
from engine.web.guard import Guard
from engine.web.routes import build_app

_BACKLOG: Final = 128
_STOP_MARGIN_S: Final = 0.5  # beyond the server's own deadline, for closing what it left open

logger = logging.getLogger(__name__)


async def run_http(
    host: str,
    port: int,
    health: HealthBoard,
    *,
    grace_s: float,
    extra_routes: Sequence[BaseRoute] = (),
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve metrics and health until cancelled.

    Args:
      host: address or name to listen on.
      port: TCP port; 0 means any free one.
      health: what `/readyz` tells.
      grace_s: how long requests under way may take after cancellation.
      extra_routes: further routes of other parts.
      task_status: started with the bound (host, port), once connections are accepted.
    Raises:
      AddressInUseError: the address cannot be listened on.
    Cancellation: stops accepting, closes idle connections, lets requests under way finish within
      `grace_s`, then cuts them.
    """
    listener = _bind(host, port)
    bound_port: int = listener.getsockname()[1]
    guarded = Guard(build_app(health, extra_routes=extra_routes), host, _post_paths(extra_routes))
    # Ownership of the descriptor passes to the server, which closes it.
    descriptor = listener.detach()
    stop = trio.Event()
    shielded = trio.CancelScope(shield=True)

    async def serve_shielded(
        task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with shielded:
            await serve(
                # Both sides mean ASGI; one types its messages as mappings, the other one by one.
                cast(ASGIFramework, guarded),
                _server_config(descriptor, grace_s),
                shutdown_trigger=stop.wait,
                task_status=cast(Any, task_status),
            )

    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(serve_shielded)
            # The server makes it inheritable; forked workers must not hold the port open.
            os.set_inheritable(descriptor, False)
            logger.info("http server started", extra={"host": host, "port": bound_port})
            task_status.started((host, bound_port))
            await trio.sleep_forever()
        finally:
            stop.set()
            shielded.deadline = trio.current_time() + grace_s + _STOP_MARGIN_S
    logger.info("http server stopped")


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


def _server_config(descriptor: int, grace_s: float) -> Config:
    config = Config()
    config.bind = [f"fd://{descriptor}"]
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.backlog = _BACKLOG
    config.graceful_timeout = grace_s
    config.shutdown_timeout = grace_s
    config.include_server_header = False
    return config
