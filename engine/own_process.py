"""What this process keeps from others of this machine: its memory, and the files that it makes."""

import ctypes
import logging
import os
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4

logger = logging.getLogger(__name__)


def keep_to_itself(*, debuggable: bool = False) -> None:
    """Let nobody but the administrator look into this process; what it makes is its owner's alone.

    Its memory and its environment hold tokens and passwords, and jobs run as the same user: they
    could read both below `/proc`. Nor is its memory written to a disk when it crashes, or handed to
    a program that collects crashes. Processes forked from it inherit the limit of core files and
    the mask of file modes; those that it executes are open to their user again.

    Args:
      debuggable: leave the memory open to debuggers and profilers of the same user.
    """
    os.umask(0o077)
    # The hard limit, too: no child can raise it again.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if debuggable or sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), *[ctypes.c_ulong(0)] * 3) != 0:
        reason = os.strerror(ctypes.get_errno())
        logger.warning("memory stays open to the user's processes", extra={"reason": reason})
