"""Connecting to Redis: from a URL or a socket, with errors that name the cause and no secret.

Of a cluster, the URL names one node; the client learns of the others from it, and again from any of
them whenever hash slots have moved.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import redis
import redis.exceptions
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.backends.failures import describe_connection_failure
from engine.backends.probe import BackendLoadingError
from engine.config import Secret
from engine.errors import BackendUnavailableError, FailedPreconditionError

_BACKEND = "redis"
_CONNECT_TIMEOUT_S = 2.0
_CALL_TIMEOUT_S = 5.0  # an append with fsync on a busy disk, not a wait for work
_PROBE_TIMEOUT_S = 2.0

Client = redis.Redis | redis.RedisCluster


def connect_url(url: Secret) -> redis.Redis:
    """Return a client for a `redis://`, `rediss://` or `unix://` URL; nothing is sent yet.

    Raises:
      FailedPreconditionError: the URL cannot be understood; its text is not shown.
    """
    problem = FailedPreconditionError(
        "redis.url is not a Redis URL, such as redis://user:password@host:6379/0; characters like "
        "/ # ? @ in the password must be percent-encoded"
    )
    try:
        parts = urlsplit(url.reveal())
        client = redis.Redis.from_url(
            url.reveal(),
            retry=_no_retry(),
            socket_timeout=_CALL_TIMEOUT_S,
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
        )
    except ValueError:
        raise problem from None  # the original quotes the part of the URL it could not read
    # An unencoded / # or ? in a password ends the host part early. The rest, with the real host
    # behind the @, would be taken for a path, and half a password shown as a host name or port.
    if parts.scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
        raise problem
    return client


def connect_socket(path: Path) -> redis.Redis:
    """Return a client for a unix socket; nothing is sent yet."""
    return redis.Redis(
        unix_socket_path=str(path),
        retry=_no_retry(),
        socket_timeout=_CALL_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
    )


_NOT_UNDERSTOOD = (
    redis.exceptions.InvalidResponse,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What the client raises of an answer that is none of Redis' kind."""


class ClusterConnection:
    """A cluster's client, made when it is first needed: making it asks a node for the others."""

    def __init__(self, url: Secret) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._client: redis.RedisCluster | None = None

    def connect(self) -> redis.RedisCluster:
        """Return the client; blocks, and may be called from any thread.

        Raises:
          redis.exceptions.RedisClusterException, redis.exceptions.RedisError, OSError: no node
            answers, or what answers is no cluster.
        """
        with self._lock:
            if self._client is None:
                self._client = redis.RedisCluster.from_url(
                    self._url.reveal(),
                    # Once more, by the map that the nodes have of each other after a failure.
                    retry=Retry(NoBackoff(), 1),
                    socket_timeout=_CALL_TIMEOUT_S,
                    socket_connect_timeout=_CONNECT_TIMEOUT_S,
                )
            return self._client

    def close(self) -> None:
        """Close the client if there is one."""
        with self._lock:
            if self._client is not None:
                self._client.close()


def describe_address(client: redis.Redis) -> str:
    """Return `host:port` or the socket's path."""
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


class RedisProbe:
    """A PING over a connection of its own, so that the log-in and the way there are tried too."""

    def __init__(
        self, client: redis.Redis, connect_cluster: Callable[[], redis.RedisCluster] | None = None
    ) -> None:
        """Make a probe of a server or, where there is a way to connect to one, of a cluster.

        Args:
          client: of the server, or of the node that the cluster's URL names.
        """
        self._pool = client.connection_pool
        self._address = describe_address(client)
        self._connect_cluster = connect_cluster
        # One thread at a time: where one hangs, more would hang too.
        self._limiter = trio.CapacityLimiter(1)

    async def __call__(self) -> str:
        """Return what answered.

        Raises:
          BackendUnavailableError: nothing usable answered within 2 s; says why.
          BackendLoadingError: Redis is still reading its data.
        Cancellation: at once. The thread is left to its own time limits, of which the resolution
          of a host name has none; it holds nothing but its connection, which it closes.
        """
        try:
            with trio.fail_after(_PROBE_TIMEOUT_S):
                await trio.to_thread.run_sync(
                    self._ping, abandon_on_cancel=True, limiter=self._limiter
                )
        except (
            redis.exceptions.RedisError,
            redis.exceptions.RedisClusterException,
            OSError,
            trio.TooSlowError,
            *_NOT_UNDERSTOOD,
        ) as error:
            raise self._explain(error) from error
        return f"answers at {self._address}"

    def _ping(self) -> None:
        if self._connect_cluster is not None:
            # The node of the URL may be gone for good, and the cluster whole without it.
            self._connect_cluster().ping(target_nodes=redis.RedisCluster.PRIMARIES)
            return
        options = self._pool.connection_kwargs | {
            "socket_timeout": _PROBE_TIMEOUT_S,
            "socket_connect_timeout": _PROBE_TIMEOUT_S,
        }
        connection = self._pool.connection_class(**options)
        try:
            connection.connect()
            connection.send_command("PING")
            connection.read_response()
        finally:
            connection.disconnect()

    def _explain(self, error: Exception) -> BackendUnavailableError:
        if isinstance(error, redis.exceptions.BusyLoadingError):
            return BackendLoadingError(_BACKEND, f"it is loading its data at {self._address}")
        if isinstance(error, redis.exceptions.AuthenticationError):
            detail = f"user name or password refused at {self._address}"
        elif isinstance(error, redis.exceptions.ResponseError):
            # The first word is Redis' error code; the rest may repeat arguments.
            code = str(error).partition(" ")[0][:32]
            detail = f"the answer was the error {code} at {self._address}"
        elif isinstance(error, _NOT_UNDERSTOOD):
            detail = f"what answers at {self._address} is no Redis"
        else:
            detail = describe_connection_failure(error, self._address, _PROBE_TIMEOUT_S)
        return BackendUnavailableError(_BACKEND, detail)


def _no_retry() -> Retry:
    # A command that failed may have been carried out: whether to repeat it is for the caller, who
    # knows what it does. Pooled connections that a restart has closed are replaced on check-out.
    return Retry(NoBackoff(), 0)
