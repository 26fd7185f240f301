"""The embedded redis-server: its command line, and what a killed engine may have left of it."""

import contextlib
import logging
import os
import re
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from engine.backends.redis_client import RedisProbe
from engine.errors import FailedPreconditionError

logger = logging.getLogger(__name__)

_LEFTOVER_STOP_S = 5.0
_LEFTOVER_KILL_S = 5.0
_LEFTOVER_POLL_S = 0.02

# Redis marks lines as `pid:role date level text`, level one of . - * # (debug to warning); those
# of its signal handler have no level.
_LINE = re.compile(r"^\d+:(?:[XCSM] .*? ([.\-*#])|signal-handler \(\d+\)) (.*)$")
_DAMAGED = re.compile(
    r"reading the append only file|reading the RDB preamble|Short read or OOM loading DB"
    r"|RDB reading offset|Wrong signature|AOF manifest",
    re.IGNORECASE,
)
"""What Redis says of data that it cannot read. An end that is missing, as after a power cut, is not
among it: that much Redis repairs by itself."""
_COMPLAINT = re.compile(r"error|fail|fatal|can't|cannot|unable|bad file|no space", re.IGNORECASE)


class EmbeddedRedis:
    """A redis-server on a unix socket, with its append-only file in `folder`.

    No TCP port is opened: the socket's permissions are the access control, which a port on
    loopback, open to every user of the machine, does not have.
    """

    def __init__(self, binary: Path, folder: Path, socket_path: Path, probe: RedisProbe) -> None:
        self.folder = folder
        self._binary = binary
        self._socket_path = socket_path
        self._probe = probe
        self._is_damaged = False

    async def prepare(self) -> Sequence[str]:
        """Make sure that no other server writes the same file; return the command line."""
        await end_leftover(self._socket_path)
        # A rewrite of the append-only file that was cut off; Redis itself never removes these.
        for abandoned in self.folder.glob("temp-rewriteaof-*.aof"):
            abandoned.unlink(missing_ok=True)
        if self._is_damaged:
            self._set_data_aside()
        options = {
            "port": "0",
            "unixsocket": str(self._socket_path),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "daemonize": "no",
            "appendonly": "yes",
            # Every command is on disk before it is acknowledged: a job that was accepted must
            # survive a power cut, and the usual `everysec` would lose up to 2 s of them. On an SSD
            # the price is 0.40 ms for a command instead of 0.18 ms, and next to none under load
            # (7,900 against 8,750 commands/s from eight clients): one fsync serves all that came
            # in together.
            "appendfsync": "always",
            "save": "",  # the append-only file is the data; snapshots would only double the writes
            "maxmemory-policy": "noeviction",  # a queue that forgets is worse than one that refuses
            "always-show-logo": "no",
        }
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(self._binary), *flags]

    async def probe(self) -> str:
        return await self._probe()

    def serves(self) -> None:
        """Nothing to do: clients find it where it was."""

    def failed_to_start(self, words: str) -> None:
        """See whether it will fail for ever, because of its data."""
        self._is_damaged = _DAMAGED.search(words) is not None

    def _set_data_aside(self) -> None:
        """Start empty: the queue is filled from the data file, without which no job would run.

        Of what was set aside, the latest is kept, for whoever wants to know what happened to it.
        """
        aside = self.folder / "damaged"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        for found in [*self.folder.glob("appendonly*"), *self.folder.glob("*.rdb")]:
            found.rename(aside / found.name)
        self._is_damaged = False
        logger.error(
            "the embedded Redis cannot read its data and starts without", extra={"kept": str(aside)}
        )

    def level_of(self, line: str) -> int:
        match = _LINE.match(line)
        if match is None:
            return logging.WARNING  # complaints about the command line come without a prefix
        mark, text = match.groups()
        if mark != "#":
            return logging.DEBUG
        # Milestones of a start or stop are marked as warnings too, and so is advice on the kernel.
        if text.startswith("WARNING"):
            return logging.INFO
        return logging.WARNING if _COMPLAINT.search(text) else logging.DEBUG


async def end_leftover(socket_path: Path) -> None:
    """End the server, if any, that still listens on `socket_path`.

    The caller holds the folder's lock, so such a server has lost its engine: it is either dying
    with it this moment or was left over (on a system that cannot tie a child's life to its
    parent's). Two servers appending to one file would destroy it.

    Raises:
      FailedPreconditionError: the server cannot be ended.
    """
    pid = _listening_pid(socket_path)
    if pid is None:
        return
    logger.warning("ending leftover redis-server", extra={"pid": pid, "socket": str(socket_path)})
    for signal_number, wait_s in (
        (signal.SIGTERM, _LEFTOVER_STOP_S),
        (signal.SIGKILL, _LEFTOVER_KILL_S),
    ):
        if pid > 0:  # 0: a process of another container, out of reach
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal_number)
        with trio.move_on_after(wait_s):
            # Not our child: nothing tells us when it ends.
            while _listening_pid(socket_path) is not None:  # noqa: ASYNC110
                await trio.sleep(_LEFTOVER_POLL_S)
            return
    raise FailedPreconditionError(
        f"another redis-server (pid {pid}) serves {socket_path} and does not end; stop it"
    )


def _listening_pid(path: Path) -> int | None:
    """Return the process that listens on a unix socket, None if none does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.5)  # a connect to a unix socket waits only while the backlog is full
        try:
            client.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        if sys.platform == "darwin":
            sol_local, local_peerpid = 0, 2
            return int(client.getsockopt(sol_local, local_peerpid))
        credentials = client.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
        return int(struct.unpack("3i", credentials)[0])
