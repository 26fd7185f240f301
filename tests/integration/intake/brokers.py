"""Real brokers that a test may kill, and a client that shares nothing with the code under test."""

import asyncio
import contextlib
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import aiokafka
import trio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from engine.backends.binaries import find_kafka_broker


class RealBroker(Protocol):
    """A broker under the test's control. It is an `engine.intake.broker.Broker` too."""

    bootstrap_servers: str
    embedded: bool
    incarnation: str | None
    keeps_log: bool

    def start(self) -> None:
        """Start it on its port and wait until it answers."""

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", within_s: float) -> None:
    give_up_at_s = time.monotonic() + within_s
    while time.monotonic() < give_up_at_s:
        assert process.poll() is None, f"the broker ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nothing accepts connections on port {port} after {within_s} s")


class MemoryBroker:
    """The broker that the engine embeds; its log ends with it.

    As `embedded` it tells its incarnation, otherwise it is any broker of which nothing is known.
    """

    keeps_log = False

    def __init__(self, *, embedded: bool) -> None:
        self.embedded = embedded
        self.incarnation: str | None = None
        self._port = free_port()
        self.bootstrap_servers = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        cluster_id = uuid.uuid4().hex if self.embedded else "always-the-same"
        url = f"tcp://{self.bootstrap_servers}"
        self._process = subprocess.Popen(
            [
                str(find_kafka_broker()),
                "broker",
                f"--cluster-id={cluster_id}",
                f"--listener-url={url}",
                f"--advertised-listener-url={url}",
                "--storage-engine=memory://tansu/",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self._port, self._process, 10)
        # Late, as with the real backend: consumers may already have found the new log.
        self.incarnation = cluster_id if self.embedded else None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


async def create_topic(broker: RealBroker, topic: str, partitions: int) -> None:
    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            await admin.close()

    await trio.to_thread.run_sync(asyncio.run, create())


async def send(
    broker: RealBroker, topic: str, values: Sequence[bytes | None], partition: int = 0
) -> list[int]:
    """Send messages in order; return their offsets."""

    async def produce() -> list[int]:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, acks="all", max_request_size=64 * 1024**2
        )
        await producer.start()
        try:
            sent = [
                # A message needs a key or a value; a tombstone has a key.
                await producer.send(topic, value=value, key=b"k", partition=partition)
                for value in values
            ]
            return [done.offset for done in await asyncio.gather(*sent)]
        finally:
            await producer.stop()

    return await trio.to_thread.run_sync(asyncio.run, produce())


async def read_topic(broker: RealBroker, topic: str, count: int) -> list[Any]:
    """Read the first records of a topic's partition 0."""

    async def consume() -> list[Any]:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers)
        await consumer.start()
        try:
            partition = aiokafka.TopicPartition(topic, 0)
            consumer.assign([partition])
            consumer.seek(partition, 0)
            return [
                await asyncio.wait_for(consumer.getone(partition), timeout=15) for _ in range(count)
            ]
        finally:
            await consumer.stop()

    return await trio.to_thread.run_sync(asyncio.run, consume())


async def read_group_offsets(
    broker: RealBroker, group_id: str, topic: str, partitions: int
) -> dict[int, int | None]:
    """Return what the broker knows of a group's offsets, by partition."""

    async def fetch() -> dict[int, int | None]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(group_id)
        finally:
            await admin.close()
        found = {tp.partition: known.offset for tp, known in offsets.items() if tp.topic == topic}
        return {partition: found.get(partition) for partition in range(partitions)}

    return await trio.to_thread.run_sync(asyncio.run, fetch())


def find_cache() -> Path:
    """Return where things that are fetched for tests are kept from run to run."""
    return Path.home() / ".cache" / "trellis-tests"
