"""Calls to servers that answer, do not answer, or go away."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from engine.cli.client import open_service
from engine.cli.running import RunningEngine
from engine.config import SecurityConfig
from engine.errors import DeadlineExceededError, UnavailableError
from proto.trellis.v1.features_grpc import FeatureServiceServicer
from proto.trellis.v1.features_pb2 import GetFeaturesRequest


def get_features(engine: RunningEngine, timeout_s: float) -> None:
    with open_service(
        engine, "service_b", FeatureServiceServicer, SecurityConfig(), timeout_s=timeout_s
    ) as service:
        service.GetFeatures(GetFeaturesRequest())


@contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Iterator[RunningEngine]:
    """Serve one connection by `behave`; it is closed at the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                behave(connection)
                over.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield RunningEngine({"service_b": f"127.0.0.1:{listener.getsockname()[1]}"})
        finally:
            over.set()
            thread.join()


def hang(connection: socket.socket) -> None:
    """Say nothing."""


def hang_up(connection: socket.socket) -> None:
    connection.recv(1)
    connection.shutdown(socket.SHUT_RDWR)


def babble(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)


@pytest.mark.parametrize("behave", [hang, hang_up, babble])
def test_a_server_that_does_not_answer_is_given_up(
    behave: Callable[[socket.socket], None],
) -> None:
    with (
        serving(behave) as engine,
        pytest.raises((DeadlineExceededError, UnavailableError), match=r"127\.0\.0\.1"),
    ):
        get_features(engine, 0.5)


def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(UnavailableError, match=rf"127\.0\.0\.1:{port} is not available"):
        get_features(RunningEngine({"service_b": f"127.0.0.1:{port}"}), 5.0)


@pytest.mark.parametrize(
    ("written", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("host:1", ("host", 1))],
)
def test_addresses_are_read(written: str, address: tuple[str, int]) -> None:
    assert RunningEngine({"service_b": written}).address("service_b") == address
