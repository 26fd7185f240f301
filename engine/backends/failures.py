"""Turns what sockets and TLS raise into a few words for the person who can act on them."""

import os
import socket
import ssl
from collections.abc import Iterator

import trio


def describe_connection_failure(error: BaseException, address: str, timeout_s: float) -> str:
    """Say why nothing could be had from `address`; never quotes what the peer or a URL said.

    Client libraries wrap the operating system's error, often more than once, into a sentence of
    their own (which may hold a URL with its password), so the chain is searched for the origin.
    """
    for origin in _chain(error):
        if isinstance(origin, ssl.SSLCertVerificationError):
            return f"the TLS certificate at {address} is refused: {origin.verify_message}"
        if isinstance(origin, ssl.SSLError):
            reason = (origin.reason or "protocol error").lower().replace("_", " ")
            return f"the TLS handshake failed at {address}: {reason}"
        if isinstance(origin, socket.gaierror):
            return f"the host name of {address} cannot be resolved"
        if isinstance(origin, TimeoutError | trio.TooSlowError):
            return f"no answer within {timeout_s:g} s at {address}"
        if isinstance(origin, OSError) and origin.errno is not None:
            return f"{os.strerror(origin.errno).lower()} at {address}"
    return f"the connection was closed at {address}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was raised from, nearest first."""
    current: BaseException | None = error
    while current is not None:
        yield current
        if isinstance(current, BaseExceptionGroup):
            current = current.exceptions[0]
        else:
            current = current.__cause__ or current.__context__
