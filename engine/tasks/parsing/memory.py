"""A ceiling for what a piece of work may allocate."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

_STATM = Path("/proc/self/statm")
_DATA_PAGES = 5
"""Place of the data segment in that file: what RLIMIT_DATA counts."""


@contextlib.contextmanager
def memory_ceiling(headroom_bytes: int) -> Iterator[None]:
    """Let allocations fail, here, that would take the process this far beyond what it has now.

    A library then raises an error where the process would otherwise be killed. The limit is the
    process's: what other threads allocate meanwhile counts, and may fail, which the checking
    thread survives. Keep the block to calls of the library.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    pages = int(_STATM.read_text(encoding="ascii").split()[_DATA_PAGES])
    ceiling = pages * resource.getpagesize() + headroom_bytes
    for limit in (soft, hard):
        if limit != resource.RLIM_INFINITY:
            ceiling = min(ceiling, limit)
    try:
        # In here: a cancellation can come right after any call.
        resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
