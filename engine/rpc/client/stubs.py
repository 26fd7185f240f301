"""Methods of a service as functions, made from purerpc's description of it."""

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

from purerpc import Cardinality, Service, Servicer


class Caller(Protocol):
    """A channel of either kind."""

    @property
    def unary_unary(self) -> Callable[..., Any]:
        """One message, one reply."""

    @property
    def unary_stream(self) -> Callable[..., Any]:
        """One message, many replies."""

    @property
    def stream_unary(self) -> Callable[..., Any]:
        """Many messages, one reply."""

    @property
    def stream_stream(self) -> Callable[..., Any]:
        """Many messages, many replies."""


def bind(service: Service | type[Servicer], channel: Caller) -> Any:
    """Return an object with a function for each method of a service.

    `bind(FeatureServiceServicer, channel).GetFeatures(request, timeout_s=1)` calls the channel's
    function for the method's cardinality; options are those of the channel.

    Args:
      service: a generated servicer's class, or a service described by hand.
    """
    if not isinstance(service, Service):
        service = service().service
    functions: dict[str, Callable[..., Any]] = {}
    for name, bound in service.methods.items():
        signature = bound.signature
        call = {
            Cardinality.UNARY_UNARY: channel.unary_unary,
            Cardinality.UNARY_STREAM: channel.unary_stream,
            Cardinality.STREAM_UNARY: channel.stream_unary,
            Cardinality.STREAM_STREAM: channel.stream_stream,
        }[signature.cardinality]
        path = f"/{service.name}/{name}"
        functions[name] = functools.partial(_call, call, path, signature.response_type)
    return SimpleNamespace(**functions)


def _call(
    call: Callable[..., Any], path: str, reply_type: type, request: Any, **options: Any
) -> Any:
    return call(path, request, reply_type, **options)
