"""Something that is no Redis, or no longer one, answers where Redis should."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from engine.backends.redis_client import RedisProbe, connect_url
from engine.config import Secret
from engine.errors import BackendUnavailableError
from engine.jobs.lease_queue import LeaseQueue
from engine.jobs.queue_keys import QueueKeys

ANSWERS = (
    b"+OK\r\n",
    b":1\r\n",
    b"$-1\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*3\r\n+a\r\n+b\r\n+c\r\n",
    b"$4\r\n\xff\xfe\xfd\xfc\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00\xff\x80 garbage\r\n",
)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer whatever is said with the same; provide the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_all, args=(listener, answer), daemon=True)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10.0)


def _answer_all(listener: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                while connection.recv(65_536):
                    connection.sendall(answer)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_not_understood_counts_as_no_answer(answer: bytes, protocol: int) -> None:
    # With the older protocol a connection begins without a question whose answer matters.
    with (
        answering(answer) as url,
        contextlib.closing(
            redis.Redis.from_url(url, socket_timeout=0.3, protocol=protocol)
        ) as client,
    ):
        queue = LeaseQueue(lambda: client, QueueKeys("test"))
        queue.add_pools(["default"])
        for ask in (
            lambda: queue.adopt("epoch"),
            lambda: queue.apply([], 1),
            lambda: queue.claim("slot", "token", 1, 1, pools=["default"]),
            lambda: queue.promote(1),
            lambda: queue.extend([("job", "token")], 1),
            queue.stats,
            lambda: queue.read_live(["job"]),
            lambda: queue.read_final(["job"]),
            lambda: queue.read_page(0),
        ):
            with pytest.raises(BackendUnavailableError):
                ask()


@pytest.mark.parametrize("answer", ANSWERS)
async def test_the_probe_says_that_it_is_no_redis(answer: bytes) -> None:
    with (
        answering(answer) as url,
        contextlib.closing(connect_url(Secret(url))) as client,
        pytest.raises(BackendUnavailableError),
    ):
        await RedisProbe(client)()
