"""The topics the intake needs: that of the events and that of its dead letters."""

import trio

from engine.config import KafkaConfig
from engine.intake.broker import Broker, dead_letter_topic
from engine.intake.kafka import prepare_topics


class Topics:
    """Sees to it that the topics exist. Used from the Trio thread."""

    def __init__(self, config: KafkaConfig, broker: Broker) -> None:
        self._config = config
        self._broker = broker
        # The embedded broker, asked twice at once to create a topic, makes it twice, and what was
        # sent to the first is gone.
        self._preparing = trio.Lock()

    async def prepare(self) -> tuple[int, ...]:
        """Create what is missing and return the partitions of the topic of events.

        Raises:
          BackendUnavailableError: no answer, or the broker does not let us create a missing topic.
        """
        topic = self._config.topic
        async with self._preparing:
            return await prepare_topics(
                self._config,
                self._broker,
                {topic: self._config.partitions, dead_letter_topic(topic): 1},
            )
