"""What the engine and its zygote say to each other: one JSON object a message, one socket.

Engine: the configuration, then `ping` and `spawn`. Zygote: `ready`, `pong`, `spawned` with the
worker's pidfd, `failed`. Both run the same files, so there are no versions.
"""

import array
import json
import signal
import socket
from typing import Any, Final

import attrs

STACKS_SIGNAL: Final = getattr(signal, "SIGRTMAX", 64) - 1
"""Makes a worker write the stacks of all its threads. A real-time signal, since libraries and jobs
take SIGUSR1 and SIGUSR2 for themselves. Systems without such have no workers, only this module."""

OWN_STACK_SIGNAL: Final = STACKS_SIGNAL + 1
"""Makes the thread that gets it write its own stack: the main one, unless that blocks all signals.
Reading the frames of another thread while that runs may end the process. The higher number: of two
signals that wait for a processor together, its handler runs first."""

ORPHANED: Final = 126
"""Exit code of a zygote or worker whose engine died while it started."""

_MESSAGE_BYTES: Final = 131_072
_MAX_DESCRIPTORS: Final = 4


@attrs.frozen
class ZygoteConfig:
    """What a zygote is told once.

    `mark` is the limit that marks its processes, `entry` the function that workers run, as
    "module:function", and `worker` what is handed to it beside the spec of each.
    """

    mark: int
    import_paths: list[str]
    preload: list[str]
    entry: str
    worker: dict[str, Any] = attrs.field(repr=False)


def send(
    channel: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()
) -> None:
    """Send one message.

    Raises:
      BlockingIOError: a socket that does not block takes no more now.
      BrokenPipeError: the other side is gone.
    """
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    channel.sendmsg([json.dumps(message).encode()], ancillary if descriptors else [])


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message and its descriptors, None when the other side is gone.

    Descriptors are missing when this process may have no more.

    Raises:
      BlockingIOError: nothing to read on a socket that does not block.
    """
    space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
    try:
        data, ancillary, flags, _ = channel.recvmsg(_MESSAGE_BYTES, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if not data:
        return None
    assert not flags & socket.MSG_TRUNC, "a message was cut"
    return json.loads(data), list(descriptors)


def receive_config(channel: socket.socket) -> ZygoteConfig:
    """Return what the zygote is told first.

    Raises:
      SystemExit: the engine is gone.
    """
    received = receive(channel)
    if received is None:
        raise SystemExit(ORPHANED)
    return ZygoteConfig(**received[0])
