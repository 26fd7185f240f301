"""`grpc.health.v1`: what a port says of itself to load balancers and probes."""

from collections.abc import AsyncGenerator, Iterable

import trio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from purerpc import Cardinality, RPCSignature, Service

from engine.errors import NotFoundError, UnavailableError
from engine.health import HealthBoard

HEALTH_SERVICE = "grpc.health.v1.Health"

_SERVING = HealthCheckResponse.SERVING
_NOT_SERVING = HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer:
    """Answers for the whole port (service name '') and for each of its services alike.

    They serve when every required part of the engine works, and no more once `stop` is set.
    """

    def __init__(self, board: HealthBoard, service_names: Iterable[str], stop: trio.Event) -> None:
        self._board = board
        self._names = frozenset(["", HEALTH_SERVICE, *service_names])
        self._stop = stop

    @property
    def service(self) -> Service:
        """The service, described by hand: generating `health.proto` would clash with grpcio's."""
        service = Service(HEALTH_SERVICE)
        one, many = Cardinality.UNARY_UNARY, Cardinality.UNARY_STREAM
        types = (HealthCheckRequest, HealthCheckResponse)
        service.add_method("Check", self.check, RPCSignature(one, *types))
        service.add_method("Watch", self.watch, RPCSignature(many, *types))
        return service

    async def check(self, request: HealthCheckRequest) -> HealthCheckResponse:
        """Return whether a service serves. Raises NotFoundError for a name that is not known."""
        if request.service not in self._names:
            raise NotFoundError("service", request.service, sorted(self._names - {""}))
        return HealthCheckResponse(status=self._status(request.service))

    async def watch(self, request: HealthCheckRequest) -> AsyncGenerator[HealthCheckResponse, None]:
        """Send whether a service serves, now and after each change, until the engine stops."""
        told = None
        while True:
            changed = self._board.next_change()
            status = self._status(request.service)
            if status != told:
                yield HealthCheckResponse(status=status)
                told = status
                continue  # it may have changed while the reply was on its way
            if self._stop.is_set():
                raise UnavailableError("the engine is stopping")
            await _wait_for_any(changed, self._stop)

    def _status(self, service: str) -> HealthCheckResponse.ServingStatus:
        if service not in self._names:
            return _SERVICE_UNKNOWN
        return _SERVING if self._board.ready and not self._stop.is_set() else _NOT_SERVING


async def _wait_for_any(*events: trio.Event) -> None:
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)
