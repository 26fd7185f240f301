"""Redis and Kafka: embedded servers kept running as children, or the configured real ones."""

from engine import redis_import  # noqa: F401 - before anything that imports redis
from engine.backends.kafka import KafkaBackend, open_kafka
from engine.backends.kafka_server import KafkaEndpoint
from engine.backends.redis import RedisBackend, open_redis
from engine.backends.report import BackendState
from engine.backends.restart import RestartPolicy
from engine.backends.supervise import Supervision

__all__ = [
    "BackendState",
    "KafkaBackend",
    "KafkaEndpoint",
    "RedisBackend",
    "RestartPolicy",
    "Supervision",
    "open_kafka",
    "open_redis",
]
