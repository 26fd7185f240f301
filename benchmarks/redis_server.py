"""One redis-server on a loopback port, for everything that a benchmark compares."""

import contextlib
import socket
from collections.abc import Iterator

import attrs
import redis

from tests.support.redis_servers import running_server


@attrs.frozen
class RedisOnPort:
    """A server; each measurement takes one of its databases."""

    port: int

    def url(self, database: int, *, empty: bool = False) -> str:
        """Return a database's URL, of an emptied database if asked for."""
        url = f"redis://127.0.0.1:{self.port}/{database}"
        if empty:
            with contextlib.closing(redis.Redis.from_url(url)) as client:
                client.flushdb()
        return url

    def version(self) -> str:
        """Return the server's version."""
        with contextlib.closing(redis.Redis(port=self.port)) as client:
            return str(client.info("server")["redis_version"])


@contextlib.contextmanager
def running_redis() -> Iterator[RedisOnPort]:
    """Run a server that keeps nothing on disk: the fastest that it can be, for all alike."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = ("--port", str(port), "--bind", "127.0.0.1", "--appendonly", "no")
    with running_server("redis6", *options):
        yield RedisOnPort(port)
