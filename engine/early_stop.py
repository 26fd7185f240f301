"""What signals mean to the program, and being told to stop before there is anything to stop.

The engine's parts take most of a second to import. A signal in that time would end the process as
if it had crashed, though nothing has been started or touched yet.
"""

import os
import signal
from functools import cache
from types import FrameType
from typing import Any, Final, NamedTuple

_CONTROLLING_TERMINAL: Final = "/dev/tty"


class SignalPlan(NamedTuple):
    """What the engine does on which signals. Those in neither list are left as they are."""

    stop: tuple[signal.Signals, ...]
    """Stop in order; the second one, at once."""
    restart_workers: tuple[signal.Signals, ...]
    """Replace the workers one after the other."""


def plan_signals(*, hangup_ignored: bool, has_terminal: bool) -> SignalPlan:
    """Decide what signals mean.

    SIGHUP says to a program with a terminal that this is closed, and is how a service, which has
    none, is told to renew itself.

    Args:
      hangup_ignored: SIGHUP was ignored when the program started, as `nohup` wants.
      has_terminal: the program was started from a terminal.
    """
    stop = (signal.SIGINT, signal.SIGTERM)
    if hangup_ignored:
        return SignalPlan(stop, ())
    if has_terminal:
        return SignalPlan((*stop, signal.SIGHUP), ())
    return SignalPlan(stop, (signal.SIGHUP,))


@cache
def read_signal_plan() -> SignalPlan:
    """Return what signals mean to this process, decided by what holds at the first call.

    A terminal may be gone later, which is just what SIGHUP tells.
    """
    return plan_signals(
        hangup_ignored=signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,
        has_terminal=_has_terminal(),
    )


def _has_terminal() -> bool:
    """Tell whether a shell or the kernel would send SIGHUP for want of a terminal."""
    if any(map(os.isatty, range(3))):
        return True
    try:
        # One is there even if all three streams are redirected.
        os.close(os.open(_CONTROLLING_TERMINAL, os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


class _EarlyStop:
    """The process's handlers until somebody else's take over."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._started = False

    def arm(self) -> None:
        plan = read_signal_plan()
        for number in plan.stop:
            self._before[number] = signal.signal(number, self._exit)
        for number in plan.restart_workers:
            self._before[number] = signal.signal(number, _pass)

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


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: no workers are there to restart. Unlike SIG_IGN, children do not inherit it."""


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
