"""Publishing dead letters to their topic, after they are safe in the data file.

The rows of `dead_letters` without `published_at` are the outbox. A dead letter may be published
twice when the engine ends between sending and marking; its key tells.
"""

import datetime
import logging
from collections.abc import Callable, Sequence
from typing import Any

import trio

from engine.clock import to_datetime
from engine.config import KafkaConfig
from engine.errors import DataFileFailedError, TrellisError
from engine.intake.broker import Broker, dead_letter_topic
from engine.intake.committer import Committer
from engine.intake.kafka import KafkaRecord, Producer, open_producer
from engine.intake.rounds import ROUND_ROWS, take_round
from engine.intake.topics import Topics
from engine.records import Upsert, WriteRequest
from engine.store.queries import load_queries
from engine.store.reader import Reader
from engine.store.writer import Writer

logger = logging.getLogger(__name__)

_GATHER_S = 0.2
"""Rejects come in bursts; one round publishes what this time has gathered."""
_RETRY_FIRST_S = 0.5
_RETRY_LAST_S = 10.0

_QUERIES = load_queries("engine.intake")


class Outbox:
    """Publishes what is unpublished, again and again, and never holds up the intake."""

    def __init__(
        self,
        config: KafkaConfig,
        broker: Broker,
        topics: Topics,
        reader: Reader,
        writer: Writer,
        clock_us: Callable[[], int],
    ) -> None:
        self._config = config
        self._broker = broker
        self._topics = topics
        self._reader = reader
        self._writer = writer
        self._clock_us = clock_us

    async def run(self, committer: Committer) -> None:
        """Publish at the start and after each commit that holds dead letters, until cancelled."""
        retry_s = _RETRY_FIRST_S
        while True:
            more = committer.next_rejects()
            try:
                await self._publish_all()
            except DataFileFailedError:
                raise
            except TrellisError as error:
                logger.info(
                    "dead letters not published", extra={"detail": str(error), "retry_s": retry_s}
                )
                await trio.sleep(retry_s)
                retry_s = min(2 * retry_s, _RETRY_LAST_S)
            else:
                retry_s = _RETRY_FIRST_S
                await more.wait()
                await trio.sleep(_GATHER_S)

    async def _publish_all(self) -> None:
        if not (rows := await self._read_round()):
            return
        await self._topics.prepare()
        async with open_producer(self._config, self._broker) as producer:
            while rows:
                await self._publish(producer, rows)
                rows = await self._read_round()

    async def _read_round(self) -> list[tuple[Any, ...]]:
        sizes = await self._reader.fetch_rows(
            _QUERIES["unpublished_dead_letters"], {"max_rows": ROUND_ROWS}
        )
        if not sizes:
            return []
        return await self._reader.fetch_rows(
            _QUERIES["dead_letters_to_publish"], {"ids": take_round(sizes)}
        )

    async def _publish(self, producer: Producer, rows: Sequence[tuple[Any, ...]]) -> None:
        topic = dead_letter_topic(self._config.topic)
        records = [_to_record(row) for row in rows]
        sent = await producer.send_each(topic, records)
        if refused := [_without_payload(r) for r, ok in zip(records, sent, strict=True) if not ok]:
            await producer.send_each(topic, refused)
        published_at = to_datetime(self._clock_us())
        marks = [(row[0], published_at) for row in rows]
        await self._writer.submit(
            WriteRequest((Upsert("dead_letters", ("dead_letter_id", "published_at"), marks),))
        )


def _to_record(row: tuple[Any, ...]) -> KafkaRecord:
    dead_letter_id, topic, partition, offset, incarnation, received_us, payload, *why = row
    reason, detail = why
    received = datetime.datetime.fromtimestamp(received_us / 1e6, datetime.UTC)
    headers = {
        "trellis-reason": reason,
        "trellis-detail": detail,
        "trellis-topic": topic,
        "trellis-partition": str(partition),
        "trellis-offset": str(offset),
        "trellis-incarnation": incarnation,
        "trellis-received": received.isoformat(timespec="milliseconds"),
    }
    return KafkaRecord(
        value=payload,
        key=dead_letter_id.encode(),
        headers=tuple((name, text.encode()) for name, text in headers.items()),
    )


def _without_payload(record: KafkaRecord) -> KafkaRecord:
    """Return the notice that is sent when the broker refuses the payload for its size."""
    size = str(len(record.value or b"")).encode()
    return KafkaRecord(None, record.key, (*record.headers, ("trellis-payload-omitted", size)))
