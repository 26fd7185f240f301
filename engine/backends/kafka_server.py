"""The embedded Kafka broker: its command line, its port, and the identity of each start."""

import logging
import uuid
from collections.abc import Sequence
from pathlib import Path

import attrs

from engine.backends.kafka_probe import probe_embedded
from engine.backends.loopback_port import LOOPBACK, choose_port, is_free
from engine.backends.observable import Observable


@attrs.frozen
class KafkaEndpoint:
    """Where to find Kafka, and which log it is.

    `incarnation` names one start of the embedded broker. It keeps its log in memory, so another
    incarnation is another, empty log without topics, its offsets beginning at 0. None with a
    configured cluster, whose log lasts, and before the embedded broker's first start.
    """

    bootstrap_servers: str
    incarnation: str | None


class EmbeddedBroker:
    """A Kafka-compatible broker on loopback that keeps its log in memory.

    It asks for no credentials, and loopback is open to every user of the machine: where others are
    not to be trusted, configure a cluster that does ask.
    """

    def __init__(self, binary: Path, folder: Path) -> None:
        """Choose the port.

        Raises:
          FailedPreconditionError: no port is free.
        """
        self.folder = folder
        self._binary = binary
        self._port = choose_port(folder)
        self._incarnation = ""
        self.endpoint = Observable(KafkaEndpoint(f"{LOOPBACK}:{self._port}", None))

    async def prepare(self) -> Sequence[str]:
        """Keep the port, which clients know, or take another if it was lost; return the command."""
        if not is_free(self._port):
            self._port = choose_port(self.folder)
        # Doubles as the cluster id: a new log is a new cluster, and since every answer about the
        # cluster carries the id, the probe can tell this start from whatever else may have got
        # hold of the port.
        self._incarnation = uuid.uuid4().hex
        url = f"tcp://{LOOPBACK}:{self._port}"
        return [
            str(self._binary),
            "broker",
            f"--cluster-id={self._incarnation}",
            f"--listener-url={url}",
            f"--advertised-listener-url={url}",
            "--storage-engine=memory://tansu/",
        ]

    async def probe(self) -> str:
        await probe_embedded(self._port, self._incarnation)
        return f"answers at {LOOPBACK}:{self._port}"

    def serves(self) -> None:
        """Publish the new incarnation, now that there is something to connect to."""
        self.endpoint.set(KafkaEndpoint(f"{LOOPBACK}:{self._port}", self._incarnation))

    def failed_to_start(self, words: str) -> None:
        """Nothing to do: it keeps nothing that could be in its way."""

    def level_of(self, line: str) -> int:
        if " ERROR " in line or "panicked at" in line or line.startswith(("called ", "Error")):
            return logging.ERROR
        return logging.WARNING if " WARN " in line else logging.DEBUG
