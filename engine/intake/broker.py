"""What the intake needs to know of the Kafka it is connected to."""

from typing import Protocol


class Broker(Protocol):
    """Where Kafka is, and which log it holds. `engine.backends.KafkaBackend` is one."""

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, several separated by commas."""

    @property
    def embedded(self) -> bool:
        """True if this engine started the broker and nobody else consumes from it."""

    @property
    def incarnation(self) -> str | None:
        """Names one start of the embedded broker, and is its cluster id; None with another one.

        Another incarnation is another, empty log. A new one may show here only after the restarted
        broker already answers: the intake compares it with the id that the broker itself gives.
        """


def dead_letter_topic(topic: str) -> str:
    """Return the topic that takes the messages of `topic` that were refused."""
    return f"{topic}.dlq"
