"""Sending messages."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiokafka
import aiokafka.errors
import attrs

from engine.config import KafkaConfig
from engine.intake.broker import Broker
from engine.intake.kafka.bridge import (
    REQUEST_TIMEOUT_S,
    aio_ask,
    call,
    connection_options,
    create_client,
    start_client,
    stop_client,
)

_SEND_TIMEOUT_S = REQUEST_TIMEOUT_S + 5.0
_BATCH_BYTES = 256 * 1024
_MAX_REQUEST_BYTES = 128 * 1024**2
"""What the broker accepts is the broker's to say; the client's own limit stays out of the way."""


@attrs.frozen
class KafkaRecord:
    """A message to send."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Producer:
    """Sends messages; each call returns once every replica that is in sync has them.

    At least once: what the client sends again after a lost answer may arrive twice, since the
    embedded broker knows no idempotent producers. Made by `open_producer`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send_many(self, topic: str, messages: Sequence[tuple[bytes | None, bytes]]) -> None:
        """Send many messages, batched by partition; fast.

        Args:
          messages: keys and values. Messages of one key go to one partition, in order; those
            without are spread evenly.
        Raises:
          BackendUnavailableError: some may have been sent, some not.
          MessageRefusedError: a message is too large for the broker.
        """
        await call(self._aio_send_many, topic, messages, timeout_s=_SEND_TIMEOUT_S)

    async def send_each(self, topic: str, records: Sequence[KafkaRecord]) -> list[bool]:
        """Send records with their headers.

        Returns: for each, whether it was sent; False means the broker refuses its size.
        Raises:
          BackendUnavailableError: some may have been sent, some not.
        """
        return await call(self._aio_send_each, topic, records, timeout_s=_SEND_TIMEOUT_S)

    async def _aio_send_many(
        self, topic: str, messages: Sequence[tuple[bytes | None, bytes]]
    ) -> None:
        partitions = sorted(await aio_ask(self._client.partitions_for(topic)))
        shares: list[list[tuple[bytes | None, bytes]]] = [[] for _ in partitions]
        for index, (key, value) in enumerate(messages):
            spread_by = index if key is None else zlib.crc32(key)
            shares[spread_by % len(partitions)].append((key, value))
        sent: list[Any] = []
        try:
            for partition, share in zip(partitions, shares, strict=True):
                for batch in self._fill_batches(share):
                    sending = self._client.send_batch(batch, topic, partition=partition)
                    sent.append(await aio_ask(sending))
        finally:
            # Also if one fails: when this is over nothing is under way any more.
            results = await asyncio.gather(*map(aio_ask, sent), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _fill_batches(self, messages: Sequence[tuple[bytes | None, bytes]]) -> Iterator[Any]:
        batch = self._client.create_batch()
        for key, value in messages:
            if batch.append(key=key, value=value, timestamp=None) is None:
                batch.close()
                yield batch
                batch = self._client.create_batch()
                # The first message of a batch always fits, whatever its size.
                batch.append(key=key, value=value, timestamp=None)
        if batch.record_count():
            batch.close()
            yield batch

    async def _aio_send_each(self, topic: str, records: Sequence[KafkaRecord]) -> list[bool]:
        futures = [
            await aio_ask(
                self._client.send(topic, value=r.value, key=r.key, headers=list(r.headers))
            )
            for r in records
        ]
        results = await asyncio.gather(*map(aio_ask, futures), return_exceptions=True)
        refused = aiokafka.errors.MessageSizeTooLargeError, aiokafka.errors.RecordListTooLargeError
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, refused):
                raise result
        return [not isinstance(result, refused) for result in results]


@asynccontextmanager
async def open_producer(config: KafkaConfig, broker: Broker) -> AsyncIterator[Producer]:
    """Connect a producer. Needs an `open_bridge` around it.

    Raises:
      BackendUnavailableError: the broker does not answer or refuses us.
    Cancellation: the client is stopped, within seconds; what was not acknowledged may be lost.
    """
    options = await connection_options(config, broker.bootstrap_servers)
    options |= {
        "acks": "all",
        "linger_ms": 0,
        "max_batch_size": _BATCH_BYTES,
        "max_request_size": _MAX_REQUEST_BYTES,
    }
    client = await create_client(aiokafka.AIOKafkaProducer, options)
    try:
        await start_client(client.start)
        yield Producer(client)
    finally:
        await stop_client(client.stop)
