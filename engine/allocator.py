"""How the engine's process takes memory from the system, and gives it back."""

import ctypes
import sys
from typing import Final

import pyarrow as pa

_M_ARENA_MAX: Final = -8
"""Of mallopt(3); in glibc's malloc.h."""
_ARENAS: Final = 2


def keep_memory_together() -> None:
    """Have freed memory be used again, whichever thread freed it; call before threads start.

    glibc gives each thread an arena, and what was freed in one serves no other: after a large
    upload, each of a dozen threads sat on what it once needed. Arrow brings an allocator that keeps
    still more. Does nothing where malloc is not glibc's.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, _ARENAS)


def give_memory_back() -> None:
    """Return what is free to the system, also between what is not; for the end of something large.

    It takes some 10 ms, for which others who want memory may wait: call it in a thread, and rarely.
    Does nothing where malloc is not glibc's.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
