"""Looking at a batch that cannot be unpacked: which offsets it takes, and what is wrong with it."""

from typing import Any

import attrs
from aiokafka.record.memory_records import MemoryRecords

from engine.intake.kafka.bridge import describe_failure
from engine.intake.kafka.raw import aio_fetch_raw, find_batch

_MAX_BYTES = 1024**2
"""Of a fetch; a larger batch still comes."""
_HEADLESS_BYTES = 4096
"""How much is kept of a batch of which nobody can tell where it ends."""


@attrs.frozen
class Damage:
    """A batch that cannot be unpacked."""

    next_offset: int
    """Where the log goes on after it."""
    content: bytes
    """Its bytes as the broker sent them; of a batch without a proper header only the beginning."""
    cause: str


async def aio_read_damage(client: Any, tp: Any, offset: int) -> Damage | None:
    """Return the batch at an offset, None if it is sound or there is none.

    Args:
      client: aiokafka's AIOKafkaClient.
      tp: aiokafka's TopicPartition.
    Raises:
      KafkaError: a broker does not answer, refuses, or its answer is not understood.
    """
    fetched = (await aio_fetch_raw(client, {tp: offset}, _MAX_BYTES))[tp]
    if not fetched.content:
        return None
    batch = find_batch(fetched.content, offset)
    if batch is None or batch.next_offset > fetched.end:
        beginning = fetched.content[:_HEADLESS_BYTES]
        next_offset = await _aio_find_next(client, tp, offset, fetched.end, beginning)
        return Damage(next_offset, beginning, "its header makes no sense")
    cause = explain_damage(batch.content)
    return None if cause is None else Damage(batch.next_offset, batch.content, cause)


async def _aio_find_next(client: Any, tp: Any, offset: int, end: int, beginning: bytes) -> int:
    """Return the first offset at which a fetch brings something else than from `offset`."""
    low, high = offset + 1, max(end, offset + 1)
    while low < high:
        middle = (low + high) // 2
        fetched = (await aio_fetch_raw(client, {tp: middle}, _MAX_BYTES))[tp]
        if fetched.content.startswith(beginning):
            low = middle + 1
        else:
            high = middle
    return low


def explain_damage(content: bytes) -> str | None:
    """Unpack one batch as the client does; return why that fails, None if it does not."""
    try:
        records = MemoryRecords(content)
        if not records.has_next():
            return "it is shorter than its header says"
        batch = records.next_batch()
        if not batch.validate_crc():
            return "its checksum does not match"
        for _ in batch:
            pass
    except Exception as error:  # noqa: BLE001  # each codec raises errors of its own
        return describe_failure(error)
    return None
