"""Fetching the bytes of a log as they are, past the client's own reading of them."""

import struct
from collections.abc import Mapping
from typing import Any

import aiokafka.errors
import attrs
from aiokafka.protocol.fetch import FetchRequest

from engine.intake.kafka.bridge import NotUnderstoodError, aio_ask

_READ_COMMITTED = 1
_WAIT_MS = 20
"""For records to come, if the log ends at the offset. Given no time the embedded broker answers
with nothing at all."""
_LOG_OVERHEAD = struct.Struct(">qi")
"""Of each batch: its base offset, and the length of what follows."""
_MAGIC_AT = 16
_LAST_OFFSET_DELTA_AT = 23
_HEADER_BYTES = 61
_LEGACY_HEADER_BYTES = 26


@attrs.frozen
class RawFetch:
    """What a broker has at an offset."""

    end: int
    """Where the readable part of the log ends."""
    content: bytes
    """Batches, the first of which holds the offset or comes after it; empty at the log's end. The
    last one may be cut off."""


@attrs.frozen
class RawBatch:
    """One batch, not unpacked. The next one starts at `next_offset`."""

    base_offset: int
    next_offset: int
    content: bytes


async def aio_fetch_raw(
    client: Any, offsets: Mapping[Any, int], max_bytes: int
) -> dict[Any, RawFetch]:
    """Fetch what stands at offsets, by aiokafka's TopicPartition.

    Args:
      client: aiokafka's AIOKafkaClient.
      max_bytes: of each partition; a larger batch still comes, alone.
    Raises:
      KafkaError: a broker does not answer, refuses, or its answer is not understood.
    """
    by_node: dict[int, dict[str, list[tuple[int, int, int]]]] = {}
    for tp, offset in offsets.items():
        node = client.cluster.leader_for_partition(tp)
        if node is None or node == -1:
            raise aiokafka.errors.LeaderNotAvailableError(tp)
        by_topic = by_node.setdefault(node, {})
        by_topic.setdefault(tp.topic, []).append((tp.partition, offset, max_bytes))
    fetched: dict[Any, RawFetch] = {}
    for node, by_topic in by_node.items():
        request = FetchRequest(
            _WAIT_MS,
            1,
            max_bytes * sum(map(len, by_topic.values())),
            _READ_COMMITTED,
            list(by_topic.items()),
            rack_id="",
        )
        response = await aio_ask(client.send(node, request))
        for topic, partitions in response.topics:
            for partition, error_code, highwater, *rest in partitions:
                tp = aiokafka.TopicPartition(topic, partition)
                if error_code:
                    raise aiokafka.errors.for_code(error_code)({tp: offsets[tp]})
                # From version 4 on the answer tells where uncommitted transactions begin.
                end = rest[0] if response.API_VERSION >= 4 else highwater
                fetched[tp] = RawFetch(end, bytes(rest[-1] or b""))
    if missing := offsets.keys() - fetched.keys():
        raise NotUnderstoodError(f"nothing is said of {missing}")
    return fetched


def find_batch(content: bytes, offset: int) -> RawBatch | None:
    """Return the first batch that ends past an offset; None if a header makes no sense."""
    at = 0
    while len(content) - at >= _LEGACY_HEADER_BYTES:
        base_offset, length = _LOG_OVERHEAD.unpack_from(content, at)
        magic = content[at + _MAGIC_AT]
        header_bytes = _HEADER_BYTES if magic >= 2 else _LEGACY_HEADER_BYTES
        end_at = at + _LOG_OVERHEAD.size + length
        if magic > 2 or end_at < at + header_bytes or len(content) < at + header_bytes:
            return None
        last_delta = 0
        if magic == 2:
            [last_delta] = struct.unpack_from(">i", content, at + _LAST_OFFSET_DELTA_AT)
        if base_offset < 0 or last_delta < 0:
            return None
        next_offset = base_offset + last_delta + 1
        if next_offset > offset:
            return RawBatch(base_offset, next_offset, content[at:end_at])
        at = end_at
    return None
