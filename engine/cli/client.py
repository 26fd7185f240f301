"""gRPC calls from the command line to the running engine."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from engine.cli.command_lines import write_command
from engine.cli.running import RunningEngine
from engine.config import SecurityConfig
from engine.errors import DeadlineExceededError, TrellisError, UnavailableError
from engine.rpc import RpcFailedError, Servicer, StatusCode
from engine.rpc.client import BlockingChannel, ChannelOptions, bind
from engine.rpc.tls import open_pinned_tls, read_certificates

_CALL_TIMEOUT_S: Final = 30.0


class CallRefusedError(TrellisError):
    """The engine answered a call with an error."""


class TokenRefusedError(CallRefusedError):
    """The engine does not know the caller's token."""


@contextmanager
def open_service(
    engine: RunningEngine,
    port: str,
    servicer: type[Servicer],
    security: SecurityConfig,
    *,
    timeout_s: float = _CALL_TIMEOUT_S,
) -> Iterator[Any]:
    """Yield an object with a blocking function for each method of a service of the engine.

    Args:
      engine: the engine.
      port: the server's `server_ports` key.
      servicer: the generated servicer's class.
      security: what the engine's servers want of callers.
      timeout_s: how long a call may take, and connecting for it, up to half a minute.
    Raises:
      TrellisError: the certificate of `security` cannot be read.
    Raises, from the calls made in the block:
      UnavailableError: the server cannot be reached, the connection is lost, or the engine says
        that it cannot answer now.
      DeadlineExceededError: it does not answer in time.
      TokenRefusedError: it does not take the token.
      CallRefusedError: it answers with another error.
    """
    host, number = engine.address(port)
    token = security.auth_token
    options = ChannelOptions(
        timeout_s=timeout_s,
        connect_timeout_s=min(timeout_s, _CALL_TIMEOUT_S),
        bearer_token=None if token is None else token.reveal(),
        tls=None if security.tls_certificate is None else _trust(security.tls_certificate),
    )
    try:
        with BlockingChannel(host, number, options) as channel:
            yield bind(servicer, channel)
    except RpcFailedError as error:
        status = error.status
        where = f"{host}:{number}"
        if status.status_code is StatusCode.UNAVAILABLE:
            raise UnavailableError(
                f"the engine at {where} is not available: {status.status_message}; "
                f"how it is: {write_command('status')}"
            ) from error
        if status.status_code is StatusCode.DEADLINE_EXCEEDED:
            raise DeadlineExceededError(
                f"the engine at {where} has not answered within {timeout_s:g} s; "
                f"see its log, or: {write_command('status')}"
            ) from error
        refused = status.status_code is StatusCode.UNAUTHENTICATED
        kind = TokenRefusedError if refused else CallRefusedError
        raise kind(status.status_message or status.status_code.name) from error


def _trust(certificate: Path) -> ssl.SSLContext:
    """Believe the engine of this machine, which shows this very certificate, whomever it names."""
    try:
        return open_pinned_tls(read_certificates(certificate), check_name=False)
    except (OSError, ValueError) as error:
        raise TrellisError(f"security.tls_certificate cannot be read: {error}") from error
