"""How the process of a zygote is made: what it gets of its parent, and how it is spoken to."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from engine.workers import zygote_wire

_PROGRAM: Final = Path(__file__).with_name("zygote.py")

_PASSED_ON: Final = (
    "PATH",
    "LD_LIBRARY_PATH",
    "TZ",
    "LANG",
    "LC_ALL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Of the engine's environment, which may hold secrets, the zygote gets no more than these."""

_SINGLE_THREADED: Final = {
    # Libraries that start threads when they are imported; a fork would leave their locks held.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # The title of a process would be written over its environment, and a mark stands there.
    "SPT_NOENV": "1",
}


@attrs.frozen
class ZygoteProcess:
    """A process that was made, and what leads to it; closed by whoever had it made."""

    pid: int
    pidfd: int
    channel: socket.socket
    """For messages of `zygote_wire`; does not block."""
    output_fd: int
    """Where its output comes."""
    popen: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kill the process if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self) -> int:
        """Return how a process that has ended did, as `subprocess` has it."""
        return self.popen.wait()

    def close(self) -> None:
        """Close what leads to it, but for its output, which its reader closes."""
        self.channel.close()
        os.close(self.pidfd)


def start_zygote(
    config: zygote_wire.ZygoteConfig, environment: Mapping[str, str], folder: Path
) -> ZygoteProcess:
    """Start a zygote.

    Not in a thread: the kernel ties "tell me when my parent dies" to the thread that forked.

    Args:
      environment: added to the little that a zygote gets of this process'.
      folder: where it runs.
    Raises:
      OSError: the process could not be made.
    """
    with contextlib.ExitStack() as undo:
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undo.callback(channel.close)
        with theirs:
            output_fd, their_output_fd = os.pipe()
            undo.callback(os.close, output_fd)
            try:
                popen = subprocess.Popen(
                    [sys.executable, "-I", str(_PROGRAM), str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=their_output_fd,
                    stderr=their_output_fd,
                    pass_fds=[theirs.fileno()],
                    cwd=folder,
                    env=_environment(environment),
                    start_new_session=True,
                    umask=0o077,
                )
            finally:
                os.close(their_output_fd)
        undo.callback(popen.wait)
        undo.callback(popen.kill)
        pidfd = os.pidfd_open(popen.pid)
        undo.callback(os.close, pidfd)
        channel.setblocking(False)
        zygote_wire.send(channel, attrs.asdict(config))
        undo.pop_all()
    return ZygoteProcess(popen.pid, pidfd, channel, output_fd, popen)


def _environment(mark: Mapping[str, str]) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **passed_on, **_SINGLE_THREADED, **mark}
