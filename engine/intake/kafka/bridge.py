"""From Trio to asyncio and back: the loop, the calls, the errors, the clients' lives."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiokafka.errors
import trio
import trio_asyncio

from engine.backends.kafka_probe import load_tls_context
from engine.config import KafkaConfig
from engine.errors import BackendUnavailableError, ResourceExhaustedError, TrellisError
from engine.intake.client_log import thin_client_log

logger = logging.getLogger(__name__)

T = TypeVar("T")

REQUEST_TIMEOUT_S = 10.0
"""After which the client gives up a request and connects anew."""
_CALL_TIMEOUT_S = 5.0
"""For one question to the broker. A live one answers in milliseconds, behind a fetch in 0.3 s."""
_START_TIMEOUT_S = 15.0
_START_PATIENCE_S = 1.0
_STOP_TIMEOUT_S = 5.0
_METADATA_AGE_MS = 10_000
"""How soon partitions that were added to a topic are noticed."""

CLIENT_FAILURES = (
    aiokafka.errors.KafkaError,
    aiokafka.errors.ConsumerStoppedError,
    aiokafka.errors.IllegalOperation,
    OSError,
    TimeoutError,
)
"""What the client raises by design."""


class PositionLostError(TrellisError):
    """The broker no longer has the offset that was asked for."""


class MessageRefusedError(ResourceExhaustedError):
    """The broker does not take a message of this size."""


class RefusedError(aiokafka.errors.KafkaError):  # type: ignore[misc]
    """Carries a broker's refusal out of asyncio code."""


class NotUnderstoodError(aiokafka.errors.KafkaError):  # type: ignore[misc]
    """The client stumbled over what a broker sent."""


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Provide the asyncio loop that the other functions of this package run on.

    They may be called by any task that was started within the block.
    """
    thin_client_log()
    async with trio_asyncio.open_loop() as loop:
        # The default handler would end the engine for a failure in some task of the client's.
        loop.set_exception_handler(_log_stray_failure)
        yield


def _log_stray_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    logger.warning(
        "kafka client failure",
        extra={"detail": f"{context.get('message')}: {context.get('exception')!r}"},
    )


async def call(
    function: Callable[..., Awaitable[T]], *args: Any, timeout_s: float = _CALL_TIMEOUT_S
) -> T:
    """Run an asyncio-flavoured function of ours from Trio and map the client's errors.

    Raises:
      BackendUnavailableError, PositionLostError, MessageRefusedError.
    Cancellation: the asyncio task is cancelled and awaited.
    """
    try:
        with trio.fail_after(timeout_s):
            result: T = await trio_asyncio.aio_as_trio(function)(*args)
            return result
    except trio.TooSlowError:
        raise BackendUnavailableError("kafka", f"no answer within {timeout_s:g} s") from None
    except asyncio.CancelledError as error:
        # Not ours, which would be trio.Cancelled: the client gave up one of its own tasks.
        raise BackendUnavailableError("kafka", "the client gave up") from error
    except (
        aiokafka.errors.OffsetOutOfRangeError,
        aiokafka.errors.NoOffsetForPartitionError,
    ) as error:
        raise PositionLostError(describe_failure(error)) from error
    except (aiokafka.errors.MessageSizeTooLargeError, aiokafka.errors.RecordListTooLargeError) as e:
        raise MessageRefusedError(f"the broker refuses a message of this size: {e}") from e
    except CLIENT_FAILURES as error:
        raise BackendUnavailableError("kafka", describe_failure(error)) from error


async def call_client(
    method: Callable[..., Awaitable[T]], *args: Any, timeout_s: float = _CALL_TIMEOUT_S
) -> T:
    """Run a method of the client's from Trio. As `call`, but whatever it raises is mapped."""

    async def ask() -> T:  # asyncio flavour
        return await aio_ask(method(*args))

    return await call(ask, timeout_s=timeout_s)


async def create_client(make: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Make a client, which takes hold of the running loop.

    Raises:
      BackendUnavailableError: the client does not accept its options.
    """

    async def create() -> Any:  # asyncio flavour
        return make(**options)

    return await call_client(create)


async def aio_ask(answer: Awaitable[T]) -> T:
    """Asyncio flavour. Await something of the client's.

    A broker whose answer it does not understand shows as an error of any kind. To be put around
    the client's own code only: in ours such an error is a fault and must show as one.

    Raises:
      NotUnderstoodError: the client raised what it does not raise by design.
    """
    try:
        return await answer
    except CLIENT_FAILURES:
        raise
    except Exception as error:
        raise NotUnderstoodError(describe_failure(error)) from error


async def aio_call_back(function: Callable[[], Awaitable[None]]) -> None:
    """Asyncio flavour. Run a Trio-flavoured function from a call-back of the client's."""
    await trio_asyncio.trio_as_aio(function)()


def describe_failure(error: BaseException) -> str:
    text = str(error)
    name = type(error).__name__
    return text if name in text else f"{name}: {text}" if text else name


async def start_client(start: Callable[[], Awaitable[None]]) -> None:
    """Trio flavour. Start a client.

    Raises: as `_call`.
    Cancellation: delayed a little, since a client that is cancelled while it connects loses sight
      of its socket and never closes it.
    """
    failure: TrellisError | None = BackendUnavailableError("kafka", "given up while connecting")
    async with trio.open_nursery() as nursery:
        with trio.CancelScope(shield=True) as patience:
            nursery.start_soon(_shorten_when_cancelled, patience)
            try:
                await call_client(start, timeout_s=_START_TIMEOUT_S)
                failure = None
            except TrellisError as error:
                # Raised outside the nursery, which would wrap it in a group.
                failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _shorten_when_cancelled(patience: trio.CancelScope) -> None:
    try:
        await trio.sleep_forever()
    finally:
        patience.deadline = trio.current_time() + _START_PATIENCE_S


async def stop_client(stop: Callable[[], Awaitable[None]]) -> None:
    """Trio flavour. Stop a client whatever state it is in, even half started; give up in time."""
    with trio.CancelScope(shield=True):
        try:
            await call_client(stop, timeout_s=_STOP_TIMEOUT_S)
        except TrellisError as error:
            logger.info("kafka client stopped badly", extra={"detail": str(error)})


async def connection_options(config: KafkaConfig, bootstrap_servers: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers,
        "client_id": "trellis",
        "request_timeout_ms": round(REQUEST_TIMEOUT_S * 1000),
        "metadata_max_age_ms": _METADATA_AGE_MS,
        # Each closed connection costs a check that the log is still the same one.
        "connections_max_idle_ms": None,
        "security_protocol": config.security_protocol,
        "ssl_context": await trio.to_thread.run_sync(load_tls_context, config),
    }
    if config.security_protocol.startswith("SASL_"):
        password = config.sasl_password
        options |= {
            "sasl_mechanism": config.sasl_mechanism,
            "sasl_plain_username": config.sasl_username,
            "sasl_plain_password": None if password is None else password.reveal(),
        }
    return options
