"""Chooses the TCP port of an embedded server."""

import random
import socket
from pathlib import Path

from engine.errors import FailedPreconditionError

LOOPBACK = "127.0.0.1"

# Below what systems hand out to outgoing connections (from 32768 on Linux, 49152 elsewhere).
# A port from that range could be taken by any of them while the server restarts; worst by a client
# of it, since a connection attempt to a local port may be given that very port and meet itself.
_FIRST_PORT = 20_000
_LAST_PORT = 32_767
_TRIES = 200


def choose_port(folder: Path) -> int:
    """Return a free port, normally the same one for the same folder.

    So that producers which were given the address find the next engine there too.

    Raises:
      FailedPreconditionError: no free port was found.
    """
    # Seeded by the folder, not for secrecy.
    candidates = random.Random(str(folder))  # noqa: S311
    for _ in range(_TRIES):
        port = candidates.randint(_FIRST_PORT, _LAST_PORT)
        if is_free(port):
            return port
    raise FailedPreconditionError(
        f"no free TCP port found between {_FIRST_PORT} and {_LAST_PORT} on {LOOPBACK}"
    )


def is_free(port: int) -> bool:
    """Could a server listen on this loopback port now?"""
    with socket.socket() as trial:
        # As servers do: connections that are still closing do not count, another listener does.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
