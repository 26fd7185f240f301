"""Batches as no client sends them, produced past the client's own checks."""

import asyncio
import struct
from collections.abc import Sequence

import aiokafka
import trio
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from tests.integration.intake.brokers import RealBroker

HEADER_BYTES = 61
_LENGTH_AT, _CRC_AT, _ATTRIBUTES_AT, _COUNT_AT = 8, 17, 21, 57
CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4, "unknown codec": 7}
BREAKAGES = (*CODECS, "checksum", "too few")


def build_batch(values: Sequence[bytes]) -> bytearray:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1_000_000,
    )
    for number, value in enumerate(values):
        builder.append(number, 1_700_000_000_000, None, value, [])
    return bytearray(builder.build())


def break_batch(batch: bytearray, breakage: str) -> bytes:
    """Return the batch broken in one of the BREAKAGES, with a checksum that fits what it is now."""
    batch = bytearray(batch)
    if breakage in CODECS:
        struct.pack_into(">h", batch, _ATTRIBUTES_AT, CODECS[breakage])
        batch[HEADER_BYTES:] = b"\xde\xad" * ((len(batch) - HEADER_BYTES) // 2)
        struct.pack_into(">i", batch, _LENGTH_AT, len(batch) - 12)
    elif breakage == "too many":
        struct.pack_into(">i", batch, _COUNT_AT, 1000)
    elif breakage == "too few":
        struct.pack_into(">i", batch, _COUNT_AT, 1)
    checksum = calc_crc32c(bytes(batch[_ATTRIBUTES_AT:]))
    struct.pack_into(">I", batch, _CRC_AT, checksum ^ (breakage == "checksum"))
    return bytes(batch)


async def send_batch(broker: RealBroker, topic: str, batch: bytes, partition: int = 0) -> int:
    """Send a batch; return its first offset.

    Raises:
      KafkaError: the broker does not take it.
    """

    async def produce() -> int:
        client = AIOKafkaClient(bootstrap_servers=broker.bootstrap_servers)
        await client.bootstrap()
        try:
            await client.force_metadata_update()
            node = client.cluster.leader_for_partition(aiokafka.TopicPartition(topic, partition))
            request = ProduceRequest(
                transactional_id=None,
                required_acks=-1,
                timeout=5000,
                topics=[(topic, [(partition, batch)])],
            )
            response = await client.send(node, request)
            [(_, [(_, error_code, base_offset, *_)])] = response.topics
            if error_code:
                raise aiokafka.errors.for_code(error_code)
            return int(base_offset)
        finally:
            await client.close()

    return await trio.to_thread.run_sync(asyncio.run, produce())
