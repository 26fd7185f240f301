"""The methods of a port by path, as the transport calls them."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from purerpc import Cardinality, Service, Status, StatusCode

from engine.rpc.statuses import failed_with

# A method is spawned at once after this many suspensions more than straight ends, and stepped
# in line again after as many straight ends; in between it stays as it was.
_HABIT: Final = 8


class Method:
    """One method of a service."""

    __slots__ = (
        "_parse",
        "_suspensions",
        "handler",
        "path",
        "request_type",
        "streams_replies",
        "streams_requests",
        "usually_suspends",
    )

    def __init__(self, path: str, handler: Callable[..., Any], signature: Any) -> None:
        cardinality = signature.cardinality
        self.path = path
        self.handler = handler
        self.request_type: type[Message] = signature.request_type
        self._parse: Callable[[bytes], Message] = signature.request_type.FromString
        self.streams_requests = cardinality in (
            Cardinality.STREAM_UNARY,
            Cardinality.STREAM_STREAM,
        )
        self.streams_replies = cardinality in (
            Cardinality.UNARY_STREAM,
            Cardinality.STREAM_STREAM,
        )
        self._suspensions = 0
        self.usually_suspends = self.streams_requests

    def parse(self, message: bytes) -> Message:
        """Return the request. Raises RpcFailedError (INVALID_ARGUMENT) if it is none."""
        try:
            return self._parse(message)
        except DecodeError:
            raise failed_with(
                StatusCode.INVALID_ARGUMENT,
                f"the request is not a valid {self.request_type.DESCRIPTOR.full_name}",
            ) from None

    def learn(self, *, suspended: bool) -> None:
        """Note whether a call suspended, to decide how the next ones are run."""
        if suspended:
            if self._suspensions < _HABIT:
                self._suspensions += 1
                if self._suspensions == _HABIT:
                    self.usually_suspends = True
        elif self._suspensions > -_HABIT:
            self._suspensions -= 1
            if self._suspensions == -_HABIT:
                self.usually_suspends = self.streams_requests


class MethodTable:
    """Finds a method by a request's path."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._methods: dict[str, Method] = {}
        self._services: set[str] = set()
        for service in services:
            self._services.add(service.name)
            for name, bound in service.methods.items():
                path = f"/{service.name}/{name}"
                self._methods[path] = Method(path, bound.method_fn, bound.signature)

    def find(self, path: str) -> Method | None:
        """Return the method, or None if there is none at this path."""
        return self._methods.get(path)

    def status_of_absent(self, path: str) -> Status:
        """Return what a caller of an unknown path is told."""
        _, _, rest = path.partition("/")
        service, _, _ = rest.partition("/")
        what = "method" if service in self._services else "service"
        return Status(StatusCode.UNIMPLEMENTED, f"no {what} {path[:200]} on this port")
