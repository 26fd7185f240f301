"""Serves gRPC services on one address."""

import logging
import ssl
from collections.abc import Iterable

import attrs
import trio
from purerpc import Service, Servicer

from engine.health import HealthBoard
from engine.rpc.health import HEALTH_SERVICE, HealthServicer
from engine.rpc.interceptors import CallPolicy, Token, wrap_service
from engine.rpc.limits import TransportLimits
from engine.rpc.listener import BoundAddress, address_of, open_listener
from engine.rpc.reflection import REFLECTION_SERVICES, ReflectionServicer
from engine.rpc.transport.admission import Admission, AdmissionLimits
from engine.rpc.transport.methods import MethodTable
from engine.rpc.transport.server import Server

logger = logging.getLogger(__name__)


async def serve(
    servicers: Iterable[Servicer],
    *,
    port: int,
    setting: str,
    board: HealthBoard,
    stop: trio.Event,
    grace_s: float,
    host: str = "127.0.0.1",
    bearer_token: Token | None = None,
    begins_traces: bool = True,
    tls: ssl.SSLContext | None = None,
    limits: TransportLimits | None = None,
    overload: AdmissionLimits | None = None,
    task_status: trio.TaskStatus[BoundAddress] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set, then drain: take no more calls, let those under way finish.

    Every port also answers `grpc.health.v1`, without a token, since probes have none, and
    reflection.

    Args:
      servicers: implementations of generated servicers, or anything with a `service`.
      port: 0 for any free one; the bound address is what the task starts with.
      setting: the configuration key of the port, for messages.
      board: the engine's health, which the health service reports.
      grace_s: time for calls under way, in seconds from `stop`; then they are cancelled.
      host: an IP address; other than loopback only with a token or TLS.
      bearer_token: what callers must send as `authorization: Bearer <token>`.
      begins_traces: whether calls are traced whose callers are not.
      tls: encrypts connections; made by `open_server_tls`.
      limits: what one peer may take. overload: when calls are shed, of all peers.
    Raises:
      AddressInUseError, FailedPreconditionError, InvalidArgumentError: as `open_listener`.
    Cancellation: calls and connections end at once; nothing is left behind.
    """
    limits = limits or TransportLimits()
    authorized = bearer_token is not None or tls is not None
    listener = await open_listener(host, port, setting=setting, authorized=authorized)
    async with listener:
        services = _wrapped(
            servicers,
            board,
            stop,
            CallPolicy(
                bearer_token=bearer_token, enforce_deadlines=False, begins_traces=begins_traces
            ),
        )
        admission = Admission(
            overload or AdmissionLimits(), exempt=frozenset([f"/{HEALTH_SERVICE}/Check"])
        )
        server = Server(MethodTable(services.values()), limits, admission, tls=tls)
        async with trio.open_nursery() as nursery:

            async def run_server(task_status: trio.TaskStatus[None]) -> None:
                if await server.run(listener, stop, grace_s, task_status):
                    logger.warning("calls cut off", extra={"port": setting, "grace_s": grace_s})

            await nursery.start(run_server)
            task_status.started(address_of(listener))


def _wrapped(
    servicers: Iterable[Servicer],
    board: HealthBoard,
    stop: trio.Event,
    policy: CallPolicy,
) -> dict[str, Service]:
    services = {}
    for servicer in servicers:
        service = servicer.service
        services[service.name] = wrap_service(service, policy)
    policy = attrs.evolve(policy, begins_traces=False)
    for name in REFLECTION_SERVICES:
        reflection = ReflectionServicer(name, [*services, HEALTH_SERVICE])
        services[name] = wrap_service(reflection.service, policy)
    health = HealthServicer(board, services, stop).service
    services[HEALTH_SERVICE] = wrap_service(health, attrs.evolve(policy, bearer_token=None))
    return services
