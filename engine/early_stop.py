"""Being told to stop before there is anything to stop.

The engine's parts take most of a second to import. A signal in that time would end the process as
if it had crashed, though nothing has been started or touched yet.
"""

import os
import signal
from types import FrameType
from typing import Any, Final


def read_stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask for an orderly stop.

    SIGHUP is one, as a terminal that is closed sends it, unless it is ignored, as `nohup` wants.
    """
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGINT, signal.SIGTERM, *hangup)


class _EarlyStop:
    """The process's handlers until somebody else's take over."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._started = False

    def arm(self) -> None:
        for number in read_stop_signals():
            self._before[number] = signal.signal(number, self._exit)

    def disarm(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def hand_over(self) -> None:
        self._started = True

    def _exit(self, _number: int, _frame: FrameType | None) -> None:
        # Trio puts this handler back when the engine has stopped; the exit code is settled then.
        if not self._started:
            # Not by an exception: it could come up anywhere, in the middle of an import too.
            os._exit(0)


_EARLY_STOP: Final = _EarlyStop()


def arm() -> None:
    """From now on end the process with 0 when it is told to stop."""
    _EARLY_STOP.arm()


def disarm() -> None:
    """Let signals do what they did before; for a command that has no orderly stop."""
    _EARLY_STOP.disarm()


def hand_over() -> None:
    """Leave stopping to whoever handles the signals now; what comes after them is ignored."""
    _EARLY_STOP.hand_over()
