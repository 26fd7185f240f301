"""The system calls of Linux for which Python has no function."""

import ctypes
import functools
import os
import sys
from typing import Any, Final

from engine.errors import FailedPreconditionError

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37


def require_linux() -> None:
    """Check that worker processes can be held to their promises here.

    Raises:
      FailedPreconditionError: another system, or a kernel older than 5.4, without `waitid` on a
        process' descriptor.
    """
    missing = (
        None if sys.platform == "linux" and hasattr(os, "pidfd_open") else f"this is {sys.platform}"
    )
    if missing is None:
        try:
            descriptor = os.pidfd_open(os.getpid())
        except OSError as error:
            missing = f"pidfd_open: {error.strerror}"
        else:
            os.close(descriptor)
    if missing is not None:
        raise FailedPreconditionError(f"worker processes need Linux 5.4 or newer ({missing})")


def set_death_signal(number: int) -> None:
    """Ask for a signal when the parent of this process dies; execution keeps it, a fork does not.

    The kernel takes the parent's *thread* for the parent, the one that forked, or the first one of
    a process that adopted this one. An adoption counts as a death.

    Raises:
      OSError: the kernel refuses.
    """
    _prctl(_PR_SET_PDEATHSIG, number)


def set_child_subreaper(*, enabled: bool) -> None:
    """Let orphans among the descendants of this process become its children, or not any more.

    Raises:
      OSError: the kernel refuses.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, int(enabled))


def is_child_subreaper() -> bool:
    """Return whether orphans among the descendants become children of this process."""
    found = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(found))
    return bool(found.value)


def _prctl(option: int, argument: int) -> None:
    # An address does not fit into the `int` that ctypes would pass.
    if _libc().prctl(option, ctypes.c_ulong(argument), *[ctypes.c_ulong(0)] * 3) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
