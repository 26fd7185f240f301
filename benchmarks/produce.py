"""Filling a topic as fast as the broker takes it."""

import random
import time
from collections.abc import Iterator

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

TOPIC = "trellis.events"
PARTITIONS = 4
ACTIONS = ("view", "click", "cart", "purchase")
WEIGHTS = (60, 25, 10, 5)


def shop_events(count: int, *, users: int, seed: int) -> Iterator[bytes]:
    """Yield seeded events of the last hour as JSON."""
    rng = random.Random(seed)
    encode = msgspec.json.Encoder().encode
    now_s = time.time()
    actions = rng.choices(ACTIONS, WEIGHTS, k=count)
    for number, action in enumerate(actions):
        event: dict[str, object] = {
            "user_id": rng.randrange(users),
            "action": action,
            "timestamp": now_s - 3600 * (1 - number / count),
        }
        if action == "purchase":
            event["value"] = round(rng.lognormvariate(3, 1), 2)
        yield encode(event)


async def fill_topic(bootstrap_servers: str, count: int, *, users: int, seed: int) -> None:
    """Create the topic and put `count` events into it, spread over the partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_batch_size=1 << 18)
    await producer.start()
    batches = [producer.create_batch() for _ in range(PARTITIONS)]
    for number, payload in enumerate(shop_events(count, users=users, seed=seed)):
        partition = number % PARTITIONS
        if batches[partition].append(key=None, value=payload, timestamp=None) is None:
            batches[partition].close()
            await producer.send_batch(batches[partition], TOPIC, partition=partition)
            batches[partition] = producer.create_batch()
            batches[partition].append(key=None, value=payload, timestamp=None)
    for partition, batch in enumerate(batches):
        batch.close()
        await producer.send_batch(batch, TOPIC, partition=partition)
    await producer.stop()
