"""The Kafka client, used from Trio. The one place that imports aiokafka and trio-asyncio.

Two flavours of `async` meet here. Every public function and method is Trio flavour. Those named
`aio_…` or `_aio_…`, the `create` of each client and the methods that a client calls are asyncio
flavour: they run within `bridge.call`, and only there, and call other asyncio code. `bridge` alone
crosses over, either way. What fails in the client or the broker
leaves this package as one of our own errors.
"""

from engine.intake.kafka.admin import prepare_topics, read_cluster_id
from engine.intake.kafka.bridge import MessageRefusedError, PositionLostError, open_bridge
from engine.intake.kafka.consumer import Consumer, Polled, open_consumer, same_connections
from engine.intake.kafka.damage import Damage
from engine.intake.kafka.producer import KafkaRecord, Producer, open_producer

__all__ = [
    "Consumer",
    "Damage",
    "KafkaRecord",
    "MessageRefusedError",
    "Polled",
    "PositionLostError",
    "Producer",
    "open_bridge",
    "open_consumer",
    "open_producer",
    "prepare_topics",
    "read_cluster_id",
    "same_connections",
]
