"""The job queue's Redis: an embedded server, or the one a URL names."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs

from engine.backends.binaries import find_redis_server
from engine.backends.folder import hold_folder, make_private_folder, place_socket
from engine.backends.probe import run_monitor
from engine.backends.redis_client import (
    Client,
    ClusterConnection,
    RedisProbe,
    connect_socket,
    connect_url,
    describe_address,
)
from engine.backends.redis_server import EmbeddedRedis
from engine.backends.report import BackendReport, BackendState, open_reported
from engine.backends.supervise import Supervision, run_supervised
from engine.config import RedisConfig
from engine.health import HealthBoard

_PART = "redis"
# Sooner than of a server that keeps its data in memory: all that Redis has acknowledged is on disk,
# and while it is away no job is begun. Two looks must fail in a row, each after 2 s.
_SUPERVISION = Supervision(probe_interval_s=1.0, unresponsive_after_s=6.0)


@attrs.frozen
class RedisBackend:
    """A Redis to work with, which may be down at any moment: see `state`.

    `connect` returns the synchronous client, for calls in threads. It can be shared by them, does
    not retry, and raises redis-py's errors; of a cluster, so may `connect` itself, which blocks
    until a node has answered once.
    """

    connect: Callable[[], Client]
    address: str
    embedded: bool
    _report: BackendReport = attrs.field(repr=False)

    @property
    def client(self) -> Client:
        """What `connect` returns, for a server, whose client is there from the start."""
        return self.connect()

    @property
    def state(self) -> BackendState:
        return self._report.state.value

    async def wait_state_change(self, seen: BackendState) -> BackendState:
        """Return the state as soon as it differs from `seen`."""
        return await self._report.state.wait_change(seen)


@asynccontextmanager
async def open_redis(
    config: RedisConfig,
    data_dir: Path,
    health: HealthBoard,
    *,
    binary: Path | None = None,
    supervision: Supervision = _SUPERVISION,
) -> AsyncIterator[RedisBackend]:
    """Provide Redis, embedded under `data_dir/redis` unless `config.url` names one.

    Yields once it answers or is known not to; from then on its state is kept up to date on the
    health board (part `redis`, not required), in `trellis_backend_up` and in the log. An embedded
    server that ends is started again; a configured one that comes back is used again.

    Args:
      binary: the redis-server to run instead of the one found.
      supervision: how patient to be; of a configured server, only the probe interval counts.
    Raises:
      FailedPreconditionError: no redis-server is installed, another engine uses the folder, or the
        URL cannot be understood.
    Cancellation: an embedded server is stopped in order, within seconds.
    """
    if config.url is not None:
        client = connect_url(config.url)
        connect: Callable[[], Client] = lambda: client  # noqa: E731
        probe = RedisProbe(client)
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(client))
            if config.cluster:
                cluster = stack.enter_context(contextlib.closing(ClusterConnection(config.url)))
                connect, probe = cluster.connect, RedisProbe(client, cluster.connect)
            report = BackendReport(_PART, health)
            run = partial(run_monitor, probe, report, supervision.probe_interval_s)
            async with open_reported(report, run):
                yield RedisBackend(connect, describe_address(client), False, report)
        return

    program = find_redis_server(binary)
    folder = make_private_folder(data_dir / "redis")
    async with hold_folder(folder):
        socket_path = place_socket(folder, "redis.sock")
        client = connect_socket(socket_path)
        report = BackendReport(_PART, health)
        server = EmbeddedRedis(program, folder, socket_path, RedisProbe(client))
        async with open_reported(report, partial(run_supervised, server, report, supervision)):
            with contextlib.closing(client):
                yield RedisBackend(lambda: client, describe_address(client), True, report)
