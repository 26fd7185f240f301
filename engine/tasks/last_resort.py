"""The end of a worker that has lost the engine and cannot end itself."""

import faulthandler
import logging

logger = logging.getLogger(__name__)


class LastResort:
    """Ends the process unless it is postponed in time. Needs neither the interpreter lock nor a
    pipe with room: the timer is a thread in C that writes what it can and calls `_exit`."""

    def __init__(self, stacks_fd: int) -> None:
        """Write the stacks at the end to `stacks_fd`, which does not block."""
        self._stacks_fd = stacks_fd

    def postpone(self, seconds: float) -> None:
        """End the process so many seconds from now, and not earlier."""
        try:
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._stacks_fd)
        except RuntimeError as error:
            # There is no memory for the thread's stack, at the moment.
            logger.warning("the last resort is not armed: %s", error)
