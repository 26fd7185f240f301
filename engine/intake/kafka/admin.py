"""Topics and the cluster's identity, asked over a connection made for the question."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiokafka.admin
import aiokafka.errors

from engine.config import KafkaConfig
from engine.intake.broker import Broker
from engine.intake.kafka.bridge import (
    RefusedError,
    aio_ask,
    call,
    call_client,
    connection_options,
    create_client,
    start_client,
    stop_client,
)

logger = logging.getLogger(__name__)

_MAX_REPLICAS = 3
"""Of a topic we create, if there are as many brokers. The client cannot ask for the default."""


async def prepare_topics(
    config: KafkaConfig, broker: Broker, topics: Mapping[str, int]
) -> tuple[int, ...]:
    """Create the topics that do not exist, over a connection made for it.

    Args:
      topics: number of partitions by name; the configured topic is one of them.
    Returns: the partitions of the configured topic.
    Raises:
      BackendUnavailableError: no answer, or the broker does not let us create a missing topic.
    """
    async with _open_admin(config, broker) as admin:
        return await call(_aio_prepare, admin, topics, config.topic)


async def read_cluster_id(config: KafkaConfig, broker: Broker) -> str | None:
    """Ask the broker for its cluster's id, over a connection made for the question.

    Raises:
      BackendUnavailableError: no answer.
    """
    async with _open_admin(config, broker) as admin:
        cluster: dict[str, Any] = await call_client(admin.describe_cluster)
    return cluster.get("cluster_id")


@asynccontextmanager
async def _open_admin(config: KafkaConfig, broker: Broker) -> AsyncIterator[Any]:
    options = await connection_options(config, broker.bootstrap_servers)
    admin = await create_client(aiokafka.admin.AIOKafkaAdminClient, options)
    try:
        await start_client(admin.start)
        yield admin
    finally:
        await stop_client(admin.close)


async def _aio_prepare(admin: Any, topics: Mapping[str, int], topic: str) -> tuple[int, ...]:
    # All topics are listed: naming one that is missing makes some brokers create it their way.
    found = {
        description["topic"]: description for description in await aio_ask(admin.describe_topics())
    }
    if missing := [name for name in topics if name not in found]:
        await _aio_create(admin, {name: topics[name] for name in missing})
        found |= {d["topic"]: d for d in await aio_ask(admin.describe_topics([topic]))}
    partitions = found[topic]["partitions"]
    if not partitions:
        raise RefusedError(f"topic {topic} has no partitions yet, or it may not be read")
    return tuple(sorted(partition["partition"] for partition in partitions))


async def _aio_create(admin: Any, topics: Mapping[str, int]) -> None:
    brokers = len((await aio_ask(admin.describe_cluster()))["brokers"])
    replicas = max(min(brokers, _MAX_REPLICAS), 1)
    wanted = [aiokafka.admin.NewTopic(name, count, replicas) for name, count in topics.items()]
    response = await aio_ask(admin.create_topics(wanted))
    for name, code, message in response.topic_errors:
        error = aiokafka.errors.for_code(code)
        if code == 0:
            logger.info("kafka topic created", extra={"topic": name, "partitions": topics[name]})
        elif error is not aiokafka.errors.TopicAlreadyExistsError:
            raise RefusedError(
                f"topic {name} does not exist and cannot be created "
                f"({message or error.__name__}); create it, or allow it to be created"
            )
