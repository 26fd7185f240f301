"""Listening sockets: one address, loopback unless calls are authorized, never shared."""

import errno
import ipaddress

import attrs
import trio

from engine.errors import AddressInUseError, FailedPreconditionError, InvalidArgumentError


@attrs.frozen
class BoundAddress:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def open_listener(
    host: str, port: int, *, setting: str, authorized: bool
) -> trio.SocketListener:
    """Listen on exactly one address.

    The socket is opened without SO_REUSEPORT, with which a second engine would silently take half
    of the first one's connections.

    Args:
      host: an IP address; a name could stand for several.
      port: 0 for any free one.
      setting: the configuration key of the port, for messages.
      authorized: whether callers must prove who they are; if not, only loopback may be bound.
    Raises:
      InvalidArgumentError: `host` is no IP address.
      FailedPreconditionError: `host` is not loopback and calls are not authorized.
      AddressInUseError: another socket listens there, or this machine has no such address.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise InvalidArgumentError("host", f"{host!r} is not an IP address") from None
    if not address.is_loopback and not authorized:
        raise FailedPreconditionError(
            f"{setting} would listen on {host}, which others can reach, and would serve anyone; "
            "configure a bearer token first or bind 127.0.0.1"
        )
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(
                f"{setting}: another program listens on {BoundAddress(host, port)}; "
                f"`ss -ltnp 'sport = :{port}'` names it; stop it, or set {setting} to another "
                "port (0: any free one)"
            ) from error
        raise AddressInUseError(
            f"{setting}: cannot listen on {BoundAddress(host, port)}: {error.strerror or error}"
        ) from error
    return listener


def address_of(listener: trio.SocketListener) -> BoundAddress:
    """Return the address a listener is bound to."""
    host, port = listener.socket.getsockname()[:2]
    return BoundAddress(host, port)
