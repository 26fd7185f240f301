"""The agent of a remote host: offers this machine to an engine and runs workers on it."""

import logging
import ssl
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from engine.errors import FailedPreconditionError, UnavailableError
from engine.rpc import RpcFailedError, StatusCode
from engine.rpc.client import Channel, ChannelOptions, bind, open_channel
from engine.rpc.client.options import backoff_delays
from engine.rpc.tls import open_pinned_tls
from engine.tracing import TraceSettings
from engine.workers.agent_session import AgentSession
from engine.workers.host import EngineAddress
from engine.workers.linux import require_linux
from engine.workers.local_host import PRELOAD, LocalHostSettings, open_local_host
from engine.workers.remote_codec import decode_command, encode_event
from engine.workers.remote_messages import Command, Event, Join, Welcome
from proto.trellis.v1 import workers_pb2 as pb
from proto.trellis.v1.workers_grpc import WorkerServiceServicer

logger = logging.getLogger(__name__)

_UNSENT_EVENTS: Final = 1_000
_WELCOME_S: Final = 10.0
_LEAVE_S: Final = 2.0

_AWAY: Final = {
    StatusCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.CANCELLED,
    StatusCode.RESOURCE_EXHAUSTED,
    StatusCode.INTERNAL,
    StatusCode.UNKNOWN,
}
"""Statuses after which trying again may help; all others say that it will not."""


@attrs.frozen(kw_only=True)
class AgentSettings:
    """What an agent is told on its command line; limits of its workers, the engine tells.

    `data_dir` is a folder of its own, which exists; there the workers have their private ones.
    """

    engine: EngineAddress
    name: str
    pool: str
    workers: int
    data_dir: Path
    preload: tuple[str, ...] = PRELOAD
    log_level: str = "INFO"
    traces: TraceSettings | None = None


async def run_host_agent(settings: AgentSettings, stop: trio.Event) -> None:
    """Offer this machine to the engine until told to stop, however often the engine is away.

    Args:
      stop: when set, the workers are killed, the engine is told, and the agent returns.
    Raises:
      FailedPreconditionError: this system cannot run workers, or one side refuses the other for a
        reason that stays, such as a wrong token or a certificate that is not believed.
    Cancellation: the workers are killed; the engine is left to notice.
    """
    require_linux()
    options = _channel_options(settings.engine)
    async with open_channel(settings.engine.host, settings.engine.port, options) as channel:
        delays = backoff_delays(options)
        while not stop.is_set():
            try:
                await _run_session(settings, channel, stop)
                delays = backoff_delays(options)
            except UnavailableError as error:
                _require_trust(channel, settings.engine)
                logger.warning("cannot join the engine", extra={"reason": str(error)})
            with trio.move_on_after(next(delays)):
                await stop.wait()


async def _run_session(settings: AgentSettings, channel: Channel, stop: trio.Event) -> None:
    """Run one session, from joining to the end of its lease.

    Raises:
      UnavailableError: the engine is away.
      FailedPreconditionError: it refuses the agent.
    """
    join = Join(settings.name, settings.pool, settings.workers, uuid.uuid4().hex)
    welcome = await _ask_to_join(channel, join)
    logger.info("joined", extra={"host": join.host, "pool": join.pool, "session": join.session})
    local = LocalHostSettings(
        data_dir=settings.data_dir,
        name=settings.name,
        check_interval_s=welcome.check_interval_s,
        check_deadline_s=welcome.check_deadline_s,
        memory_hard_bytes=welcome.memory_hard_bytes,
        memory_soft_bytes=welcome.memory_soft_bytes,
        recycle_after_jobs=welcome.recycle_after_jobs,
        handlers=welcome.handlers,
        preload=settings.preload,
        log_level=settings.log_level,
        traces=settings.traces,
        # Where this process cannot kill them, being stopped itself, they leave by themselves.
        engine_gone_after_s=welcome.check_deadline_s,
    )
    async with open_local_host(local, settings.engine) as host, trio.open_nursery() as nursery:
        session = AgentSession(host, join, welcome.check_deadline_s, nursery)
        nursery.start_soon(_end_with_lease, session, nursery.cancel_scope)
        nursery.start_soon(_end_when_told, session, stop, nursery.cancel_scope)
        await _stay_connected(channel, session)
        nursery.cancel_scope.cancel()


async def _ask_to_join(channel: Channel, join: Join) -> Welcome:
    try:
        with trio.move_on_after(_WELCOME_S):
            async with _open_stream(channel, join) as (commands, _):
                return await _read_welcome(commands)
    except RpcFailedError as error:
        status = error.status
        if status.status_code in _AWAY:
            raise UnavailableError(status.status_message) from error
        raise FailedPreconditionError(
            f"the engine refuses this host: {status.status_message}"
        ) from error
    raise UnavailableError(f"no welcome within {_WELCOME_S:g} s")


async def _stay_connected(channel: Channel, session: AgentSession) -> None:
    """Keep a session's connection, or another, until either side says that the session is over."""
    delays = backoff_delays(ChannelOptions())
    while True:
        try:
            async with _open_stream(channel, session.join) as (commands, events):
                welcome = await _read_welcome(commands)
                delays = backoff_delays(ChannelOptions())
                await session.converse(commands, events, welcome.check_interval_s)
            reason = "the stream ended"
        except RpcFailedError as error:
            reason = error.status.status_message
            if error.status.status_code not in _AWAY:
                logger.warning("session over", extra={"reason": reason})
                return
        if session.is_leaving:
            return
        logger.warning("connection to the engine lost", extra={"reason": reason})
        await trio.sleep(next(delays))


async def _end_with_lease(session: AgentSession, scope: trio.CancelScope) -> None:
    await session.keep_lease()
    scope.cancel()


async def _end_when_told(session: AgentSession, stop: trio.Event, scope: trio.CancelScope) -> None:
    await stop.wait()
    logger.info("leaving")
    with trio.move_on_after(_LEAVE_S):
        await session.leave()
    scope.cancel()


@asynccontextmanager
async def _open_stream(
    channel: Channel, join: Join
) -> AsyncIterator[tuple[AsyncIterator[Command], trio.MemorySendChannel[Event]]]:
    """Open a connection of a session: what comes from the engine, and where to put what goes there.

    Raises:
      RpcFailedError: the call failed, also later in the block.
    """
    to_engine, unsent = trio.open_memory_channel[Event](_UNSENT_EVENTS)
    service = bind(WorkerServiceServicer, channel)
    async with (
        to_engine,
        unsent,
        service.HostWorkers(_encoded(join, unsent), timeout_s=None) as replies,
        aclosing(_decoded(replies)) as commands,
    ):
        yield commands, to_engine


async def _encoded(
    join: Join, events: trio.MemoryReceiveChannel[Event]
) -> AsyncGenerator[pb.HostEvent, None]:
    yield encode_event(join)
    async for event in events:
        yield encode_event(event)


async def _decoded(replies: AsyncIterator[pb.HostCommand]) -> AsyncGenerator[Command, None]:
    async for message in replies:
        command = decode_command(message)
        if command is not None:
            yield command


async def _read_welcome(commands: AsyncIterator[Command]) -> Welcome:
    """Return the first command.

    Raises:
      UnavailableError: the engine hung up, or it is no engine of this version.
    """
    first = await anext(commands, None)
    if not isinstance(first, Welcome):
        raise UnavailableError("the engine did not welcome this host")
    return first


def _require_trust(channel: Channel, engine: EngineAddress) -> None:
    """Raise FailedPreconditionError if what answers has proven not to be the engine."""
    error = channel.connect_error
    if isinstance(error, ssl.SSLCertVerificationError):
        raise FailedPreconditionError(
            f"the certificate of {engine.host}:{engine.port} is not believed: "
            f"{error.verify_message}"
        )


def _channel_options(engine: EngineAddress) -> ChannelOptions:
    tls = engine.tls
    context = None
    if tls is not None:
        context = open_pinned_tls(tls.authority_pem, check_name=tls.server_name is not None)
    return ChannelOptions(
        bearer_token=engine.token,
        tls=context,
        tls_name=None if tls is None else tls.server_name,
    )
