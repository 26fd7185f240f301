"""Blocking calls to a disk: in threads of their own, in time, with errors that say what to do."""

import errno
from collections.abc import Callable
from typing import TypeVar

import trio

from engine.backends.blobs.abandonable import run_abandonable
from engine.errors import BackendUnavailableError, ResourceExhaustedError, TrellisError

_THREADS = 4

T = TypeVar("T")


class DiskThreads:
    """Threads for one folder, so that a disk that hangs holds up nothing else."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._limiter = trio.CapacityLimiter(_THREADS)

    async def run(self, call: Callable[[], T], *, dispose: Callable[[T], None] | None = None) -> T:
        """Run a blocking call.

        Args:
          dispose: is given the result when nobody takes it any more.
        Raises:
          BackendUnavailableError: the disk fails, or has not answered in time.
          ResourceExhaustedError: it is full.
        Cancellation: at once; the call is left to itself.
        """
        try:
            with trio.fail_after(self._timeout_s):
                return await run_abandonable(call, limiter=self._limiter, dispose=dispose)
        except trio.TooSlowError:
            late = BackendUnavailableError(
                "blobs", f"the disk has not answered within {self._timeout_s:g} s"
            )
            raise late from None
        except OSError as error:
            raise _explain(error) from error


def _explain(error: OSError) -> TrellisError:
    reason = (error.strerror or type(error).__name__).lower()
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return ResourceExhaustedError(f"a blob cannot be written: {reason}{where}")
    return BackendUnavailableError("blobs", f"{reason}{where}")
