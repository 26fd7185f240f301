"""The engine's end of an agent's connection: `HostWorkers` between messages and `RemoteHost`."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

import trio

from engine.errors import InvalidArgumentError
from engine.workers.host import LOCAL_HOST
from engine.workers.remote_codec import decode_event, encode_command
from engine.workers.remote_host import RemoteHost
from engine.workers.remote_messages import Command, Event, Join, Welcome
from proto.trellis.v1 import workers_pb2 as pb

_UNREAD_COMMANDS: Final = 1_000
_SLOTS_MAX: Final = 1_000
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_POOL_NAME: Final = re.compile(r"(?:[a-z][a-z0-9_]{0,62})?", re.ASCII)


async def converse_with_agent(
    messages: AsyncIterator[pb.HostEvent],
    find_host: Callable[[Join], RemoteHost],
    welcome: Welcome,
    nursery: trio.Nursery,
) -> AsyncGenerator[pb.HostCommand, None]:
    """Yield what the agent is to be sent, until its connection or its session ends.

    Wrap it in `contextlib.aclosing`, so that the conversation ends with the call.

    Args:
      messages: what the agent sends.
      find_host: returns the host of a session, a new one if it is not known.
      nursery: outlives the connection.
    Raises:
      InvalidArgumentError: the agent does not begin as it should, or offers what cannot be.
      FailedPreconditionError: the session is over; the agent has to begin another.
    """
    join = await _read_join(messages)
    host = find_host(join)
    host.require_open()
    to_agent, commands = trio.open_memory_channel[Command](_UNREAD_COMMANDS)
    conversation = trio.CancelScope()
    failure: Exception | None = None

    async def serve() -> None:
        nonlocal failure
        with conversation:
            async with to_agent:
                try:
                    async with aclosing(_decoded(messages)) as events:
                        await host.serve(join, events, to_agent)
                except Exception as error:  # noqa: BLE001 - raised below, where the call is
                    failure = error

    nursery.start_soon(serve)
    try:
        yield encode_command(welcome)
        async with commands:
            async for command in commands:
                yield encode_command(command)
        if failure is not None:
            raise failure
    finally:
        conversation.cancel()


async def _read_join(messages: AsyncIterator[pb.HostEvent]) -> Join:
    first = await anext(messages, None)
    join = None if first is None else decode_event(first)
    if not isinstance(join, Join):
        raise InvalidArgumentError("event", "the first message of an agent is `join`")
    _check_join(join)
    return join


def _check_join(join: Join) -> None:
    # The names are shown to people, and by `ps`.
    if not _HOST_NAME.fullmatch(join.host) or join.host == LOCAL_HOST:
        raise InvalidArgumentError(
            "host", f"is 1 to 64 letters, digits, dots, dashes and underscores; not {LOCAL_HOST}"
        )
    if not _POOL_NAME.fullmatch(join.pool):
        raise InvalidArgumentError(
            "pool", "is up to 63 lower-case letters, digits and underscores, a letter first"
        )
    if not 1 <= join.slots <= _SLOTS_MAX:
        raise InvalidArgumentError("slots", f"is within 1 to {_SLOTS_MAX}")


async def _decoded(messages: AsyncIterator[pb.HostEvent]) -> AsyncGenerator[Event, None]:
    async for message in messages:
        event = decode_event(message)
        if event is not None:
            yield event
