"""The servers of the nursery tree: HTTP, and gRPC on every public port."""

import functools
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import trio
from starlette.routing import BaseRoute

from engine.config import EngineConfig, SecurityConfig
from engine.errors import FailedPreconditionError
from engine.health import HealthBoard
from engine.rpc import BoundAddress, Servicer, serve
from engine.rpc.tls import open_server_tls
from engine.web import run_http


def open_tls(security: SecurityConfig) -> ssl.SSLContext | None:
    """Return the context of every gRPC server; None: they speak without TLS.

    Raises:
      FailedPreconditionError: certificate and key cannot be used.
    """
    if security.tls_certificate is None or security.tls_private_key is None:
        return None
    try:
        return open_server_tls(security.tls_certificate, security.tls_private_key)
    except (OSError, ssl.SSLError) as error:
        raise FailedPreconditionError(
            f"security.tls_certificate and security.tls_private_key cannot be used: {error}"
        ) from error


@asynccontextmanager
async def open_http(
    config: EngineConfig, health: HealthBoard, routes: Sequence[BaseRoute]
) -> AsyncIterator[str]:
    """Serve HTTP while the block runs: metrics, health, and what else there is; yield its address.

    Args:
      routes: what else.
    Raises:
      AddressInUseError: the port cannot be listened on.
    Cancellation: also at the end of the block, requests under way may finish within
      `shutdown.grace_s`.
    """
    ports = config.server_ports
    run = functools.partial(
        run_http,
        ports.host,
        ports.metrics,
        health,
        grace_s=config.shutdown.grace_s,
        extra_routes=routes,
    )
    async with trio.open_nursery() as nursery:
        host, port = await nursery.start(run)
        yield str(BoundAddress(host, port))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_servers(
    config: EngineConfig,
    servicers: Mapping[str, tuple[Servicer, ...]],
    tls: ssl.SSLContext | None,
    health: HealthBoard,
) -> AsyncIterator[dict[str, str]]:
    """Serve gRPC on every public port; at the end take no more calls, let those under way finish.

    Args:
      servicers: by their `server_ports` key.
    Raises:
      AddressInUseError, FailedPreconditionError, InvalidArgumentError: as `serve`.
    """
    ports, security = config.server_ports, config.security
    closing = trio.Event()
    async with trio.open_nursery() as nursery:
        addresses: dict[str, str] = {}
        for key, on_port in servicers.items():
            start = functools.partial(
                serve,
                on_port,
                host=ports.host,
                port=getattr(ports, key),
                setting=f"server_ports.{key}",
                board=health,
                stop=closing,
                grace_s=config.shutdown.grace_s,
                bearer_token=security.auth_token,
                tls=tls,
            )
            addresses[key] = str(await nursery.start(start))
        try:
            yield addresses
        finally:
            closing.set()
