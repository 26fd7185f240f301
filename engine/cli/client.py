"""One gRPC call from the command line, with an end."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from engine.cli.running import RunningEngine
from engine.config import Secret
from engine.errors import DeadlineExceededError, TrellisError, UnavailableError
from engine.rpc import RpcFailedError, insecure_channel

_CALL_TIMEOUT_S: Final = 30.0

Response = TypeVar("Response")


class CallRefusedError(TrellisError):
    """The engine answered a call with an error."""


def call_engine(
    engine: RunningEngine,
    port: str,
    call: Callable[..., Awaitable[Response]],
    *,
    token: Secret | None,
    timeout_s: float = _CALL_TIMEOUT_S,
) -> Response:
    """Connect to a server of the engine, make one call and return its response.

    Args:
      engine: the engine.
      port: the server's `server_ports` key.
      call: makes the call; is given the channel and the metadata to send.
      token: what authorizes the call, if the engine wants it.
      timeout_s: how long connecting and the call may take. The client library has no deadline of
        its own and waits for ever when a connection is lost.
    Raises:
      UnavailableError: the server cannot be reached or closes the connection.
      DeadlineExceededError: it does not answer in time.
      CallRefusedError: it answers with an error.
    """
    return trio.run(_call, engine.address(port), call, token, timeout_s)


async def _call(
    address: tuple[str, int],
    call: Callable[..., Awaitable[Response]],
    token: Secret | None,
    timeout_s: float,
) -> Response:
    where = f"{address[0]}:{address[1]}"
    metadata = () if token is None else (("authorization", f"Bearer {token.reveal()}"),)
    outcome: Response | RpcFailedError
    try:
        with trio.fail_after(timeout_s):
            async with insecure_channel(*address) as channel:
                try:
                    outcome = await call(channel, metadata)
                except RpcFailedError as error:
                    # Raised further it would come out in a group with the connection's own end.
                    outcome = error
    except trio.TooSlowError as error:
        raise DeadlineExceededError(
            f"the engine at {where} has not answered within {timeout_s:g} s; "
            "see its log, or: python main.py status"
        ) from error
    except OSError as error:
        raise UnavailableError(f"nothing answers at {where}: {error}") from error
    except ExceptionGroup as error:
        # Whatever the library makes of a connection that ends in the middle of a call.
        raise UnavailableError(f"the connection to {where} broke: {error}") from error
    if isinstance(outcome, RpcFailedError):
        status = outcome.status
        raise CallRefusedError(status.status_message or status.status_code.name)
    return outcome
