"""The intake's life: connect, consume, and after a failure connect again."""

import logging
from collections.abc import Callable

import trio

from engine.clock import read_clock_us
from engine.config import KafkaConfig
from engine.errors import BackendUnavailableError, DataFileFailedError, TrellisError
from engine.health import HealthBoard
from engine.intake.broker import Broker
from engine.intake.committer import Committer
from engine.intake.kafka import open_bridge, open_consumer
from engine.intake.locate import IntakeParts
from engine.intake.outbox import Outbox
from engine.intake.session import Session
from engine.intake.status import IntakeStatus
from engine.intake.topics import Topics
from engine.intake.validation import Rules
from engine.store.store import Store

logger = logging.getLogger(__name__)

_RETRY_FIRST_S = 0.2
_RETRY_LAST_S = 3.0
_TOPICS_WAIT_S = 2.0
"""How long the start waits for the embedded broker's topics, which takes milliseconds."""
_REVOKE_WAIT_S = 45.0
"""How long a rebalance may wait for a batch under way: less than the group waits for us."""


async def run_intake(
    config: KafkaConfig,
    broker: Broker,
    store: Store,
    health: HealthBoard,
    *,
    clock_us: Callable[[], int] = read_clock_us,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Consume the topic into the data file, each message once, until cancelled.

    Started once the embedded broker has its topics, so that whoever sends next finds them, and at
    once with another one. Whether the broker answers is told on the health board (part `intake`,
    not required for readiness).
    Raises:
      DataFileFailedError: in a group; the data file failed and the engine must stop.
    Cancellation: fetching stops, a batch that the writer has is awaited, the rest is dropped and
      will be fetched again; the client is stopped within seconds.
    """
    async with open_bridge(), trio.open_nursery() as nursery:
        committer = Committer(store.writer, nursery)
        status = IntakeStatus(
            health,
            config.stuck_after_s,
            next_offsets=lambda: committer.next_offsets,
            writing=lambda: committer.busy,
        )
        rules = Rules.from_config(config)
        topics = Topics(config, broker)
        parts = IntakeParts(
            config, broker, topics, store.reader, committer, status, rules, clock_us
        )
        outbox = Outbox(config, broker, topics, store.reader, store.writer, clock_us)
        nursery.start_soon(status.run_ticks)
        nursery.start_soon(outbox.run, committer)
        if broker.embedded:
            await _prepare_topics(topics)
        task_status.started()
        await _run_sessions(parts)


async def _prepare_topics(topics: Topics) -> None:
    """Create the topics, if the broker answers soon."""
    with trio.move_on_after(_TOPICS_WAIT_S):
        try:
            await topics.prepare()
        except BackendUnavailableError as error:
            # The sessions try again, and report it.
            logger.debug("topics not prepared yet", extra={"detail": str(error)})


async def _run_sessions(parts: IntakeParts) -> None:
    retry_s = _RETRY_FIRST_S
    while True:
        session: Session | None = None
        try:
            # Before the consumer, which waits for a topic that is missing.
            await parts.topics.prepare()
            async with open_consumer(
                parts.config,
                parts.broker,
                group_id=parts.group_id,
                before_revoked=lambda: _settle_before_revoked(parts.committer),
            ) as consumer:
                session = Session(parts, consumer)
                await session.run()
        except* DataFileFailedError:
            raise
        except* TrellisError as failures:
            parts.status.down(_describe(failures))
        if session is not None and session.located:
            retry_s = _RETRY_FIRST_S
        await trio.sleep(retry_s)
        retry_s = min(2 * retry_s, _RETRY_LAST_S)


async def _settle_before_revoked(committer: Committer) -> None:
    with trio.move_on_after(_REVOKE_WAIT_S) as patience:
        await committer.settle()
    if patience.cancelled_caught:
        # No harm to the data: positions are not looked up again before the batch has landed.
        logger.warning("partitions given up while a batch is under way")


def _describe(failures: BaseExceptionGroup[TrellisError]) -> str:
    first: BaseException = failures
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first)
