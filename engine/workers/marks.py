"""A mark that every process of a host's workers carries, whatever it does to hide.

Daemons of a job leave its process group and session, close descriptors, clear the environment and
execute other programs. Resource limits are inherited through all of that and can be read from
outside, also of a zombie. One of them limits nothing here: RLIMIT_RTTIME, the microseconds that a
real-time process may run without a pause. Set to some 150,000 years and a bit, the bit is the mark.
The environment carries it too, for systems that do not let the limit be set.
"""

import hashlib
import os
import re
import resource
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from engine.workers.proctable import all_pids, read_stat

_BASE: Final = 1 << 62
_INSTANCE_BITS: Final = 22
_FOLDER_BITS: Final = 40
_VARIABLE: Final = "TRELLIS_WORKER_OF"
_LIMIT: Final = re.compile(rb"^Max realtime timeout +(\d+) ", re.MULTILINE)
_IN_ENVIRONMENT: Final = re.compile(rb"(?:^|\0)" + _VARIABLE.encode() + rb"=(\d{1,19})(?:\0|$)")


@attrs.frozen
class Mark:
    """What tells a host's processes from all others, and from those of its predecessors.

    `folder` stands for the host's data folder, which one host holds at a time: processes that have
    it and another `instance` were left by an earlier host.
    """

    folder: int
    instance: int

    @property
    def limit(self) -> int:
        """The mark as one number."""
        return _BASE | self.folder << _INSTANCE_BITS | self.instance

    @property
    def variable(self) -> dict[str, str]:
        """The mark for the environment."""
        return {_VARIABLE: str(self.limit)}


def new_mark(folder: Path) -> Mark:
    """Return a mark for a new host of `folder`.

    The folder is known by its device and inode: in a container, whose processes this machine sees,
    the same path means another folder, and one folder may have several paths.

    Raises:
      OSError: there is no such folder.
    """
    found = folder.stat()
    digest = hashlib.blake2b(f"{found.st_dev}:{found.st_ino}".encode(), digest_size=8).digest()
    return Mark(
        folder=int.from_bytes(digest, "little") >> 64 - _FOLDER_BITS,
        instance=secrets.randbits(_INSTANCE_BITS),
    )


def decode_mark(limit: int) -> Mark | None:
    """Return the mark in a limit, None if it is just a limit."""
    bits = limit ^ _BASE
    if not 0 <= bits < 1 << _FOLDER_BITS + _INSTANCE_BITS:
        return None
    return Mark(bits >> _INSTANCE_BITS, bits & (1 << _INSTANCE_BITS) - 1)


def mark_this_process(limit: int) -> bool:
    """Mark this process and all that it will fork; return whether the system allows it."""
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (limit, limit))
    except (OSError, ValueError):
        return False
    return True


def mark_of(pid: int) -> Mark | None:
    """Return the mark of a process, None if it has none, is gone, or is not ours to look at."""
    match = _LIMIT.search(_read(f"/proc/{pid}/limits"))
    mark = decode_mark(int(match[1])) if match else None
    if mark is None:
        found = _IN_ENVIRONMENT.search(_read(f"/proc/{pid}/environ"))
        mark = decode_mark(int(found[1])) if found else None
    return mark


def marked_processes() -> Iterator[tuple[int, Mark]]:
    """Yield the living processes of this machine that carry any mark, with it; not this one."""
    me = os.getpid()
    for pid in all_pids():
        if pid != me:
            mark = mark_of(pid)
            if mark is not None and (stat := read_stat(pid)) is not None and not stat.ended:
                yield pid, mark


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a hot path
            return file.read(65_536) or b""
    except OSError:
        return b""
