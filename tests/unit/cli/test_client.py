"""Calls to servers that answer, do not answer, or go away."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from engine.cli.client import call_engine
from engine.cli.running import RunningEngine
from engine.errors import DeadlineExceededError, UnavailableError
from proto.trellis.v1.features_grpc import FeatureServiceStub
from proto.trellis.v1.features_pb2 import GetFeaturesRequest

# The client library leaves its streams and its socket to the garbage collector when it is given up;
# the process of a command ends there anyway.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _collect_what_the_library_left() -> Iterator[None]:
    yield
    gc.collect()


async def get_features(channel: Any, metadata: Any) -> Any:
    return await FeatureServiceStub(channel).GetFeatures(GetFeaturesRequest(), metadata=metadata)


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
        call_engine(engine, "service_b", get_features, token=None, timeout_s=0.5)


def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(UnavailableError, match=rf"nothing answers at 127\.0\.0\.1:{port}"):
        call_engine(
            RunningEngine({"service_b": f"127.0.0.1:{port}"}), "service_b", get_features, token=None
        )


@pytest.mark.parametrize(
    ("written", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("host:1", ("host", 1))],
)
def test_addresses_are_read(written: str, address: tuple[str, int]) -> None:
    assert RunningEngine({"service_b": written}).address("service_b") == address
