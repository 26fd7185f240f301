"""What the tests of the backends share: real servers, and looking at the process table."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import trio

from engine.backends import RestartPolicy, Supervision
from engine.backends.binaries import find_redis_server
from engine.health import HealthBoard
from tests.support.certificates import make_identity

QUICK = Supervision(
    restart=RestartPolicy(first_delay_s=0.05, longest_delay_s=0.2),
    ready_within_s=10.0,
    probe_interval_s=0.05,
    unresponsive_after_s=30.0,
    stop_grace_s=3.0,
)


@pytest.fixture
def quick():
    """Supervision that does not keep a test waiting."""
    return QUICK


@pytest.fixture
def health():
    return HealthBoard()


@pytest.fixture
def data_dir(tmp_path_factory):
    """A data folder whose path is short enough for a socket."""
    return tmp_path_factory.mktemp("d")


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch):
    """Keep sockets of long data paths out of the machine's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("t")))


@pytest.fixture
def eventually():
    """Wait, for a bounded time, until a condition holds; return its value."""

    async def wait(condition, within_s=10.0):
        value = None
        with trio.move_on_after(within_s):
            while not (value := condition()):  # noqa: ASYNC110 - the point of this fixture
                await trio.sleep(0.01)
        assert value, f"not within {within_s} s"
        return value

    return wait


def processes_with(text):
    """Pids of living processes whose command line or working folder mentions `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            words = entry.joinpath("cmdline").read_bytes().decode(errors="replace")
            folder = str(entry.joinpath("cwd").readlink())
        except OSError:
            continue  # it ended meanwhile, or is a zombie
        if words and (text in words or text in folder):
            found.append(int(entry.name))
    return found


@pytest.fixture
def processes():
    return lambda text: processes_with(str(text))


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start_redis(tmp_path):
    """Start a redis-server by hand; every one is killed at the end."""
    started = []

    def start(*options):
        process = subprocess.Popen(
            [find_redis_server(), "--dir", tmp_path, "--save", "", *map(str, options)],
            stdout=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


class TlsServer:
    """Speaks TLS with a certificate of its own making; hangs up after the first request."""

    def __init__(self, folder):
        identity = make_identity(folder, "server")
        self.ca_file = identity.certificate
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(identity.certificate, identity.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            with (
                connection,
                contextlib.suppress(OSError),
                self._context.wrap_socket(connection, server_side=True) as encrypted,
            ):
                encrypted.recv(1000)


@pytest.fixture
def tls_server(tmp_path):
    with TlsServer(tmp_path) as server:
        yield server


@pytest.fixture
def script(tmp_path):
    """Write a shell script that stands in for a server."""

    def write(body, name="server"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def open_descriptors():
    def count():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a name per descriptor is all

    return count


@pytest.fixture(autouse=True)
def nothing_left(tmp_path_factory):
    """No test may leave a process that works in its folders."""
    yield
    deadline = time.monotonic() + 5
    while left := processes_with(str(tmp_path_factory.getbasetemp())):
        if time.monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"processes left behind: {left}")
        time.sleep(0.02)
