"""What jobs do to their workers, and how Trellis must take it."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import attrs

from engine.tasks.errors import PermanentJobError

_C_LIBRARY = ctypes.CDLL(None)
_C_LIBRARY_LOCKED = ctypes.PyDLL(None)  # calls through this one keep the interpreter lock
_LONG_S: Final = 600
_FLOOD_S: Final = 0.5
SOFT_BYTES: Final = 300 << 20
_HOG_STEP_BYTES: Final = 32 << 20

Advance = Callable[[], None]
"""Says that the job makes progress."""


@attrs.frozen
class Misdeed:
    """A fault that a job commits.

    Attributes:
      commit: does it, in the worker.
      causes: what the attempt may end with; empty if it goes on and completes.
      shown: the function that the attempt's stack must show; empty if there need not be one.
      final: the state the job ends in with the first one; empty: it is tried again.
    """

    commit: Callable[[Advance], Any]
    causes: frozenset[str] = frozenset()
    shown: str = ""
    final: str = ""


def exit_zero(_: Advance) -> NoReturn:
    os._exit(0)


def exit_three(_: Advance) -> NoReturn:
    os._exit(3)


def exit_recycled(_: Advance) -> NoReturn:
    """Leave with the code by which a worker says that it wants to be replaced."""
    os._exit(64)


def exit_politely(_: Advance) -> NoReturn:
    sys.exit(4)


def raise_error(_: Advance) -> NoReturn:
    raise ConnectionError("not today")


def raise_permanent(_: Advance) -> NoReturn:
    raise PermanentJobError("never", "not on any day")


def raise_unprintable(_: Advance) -> NoReturn:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    raise UnprintableError


def kill_itself(_: Advance) -> None:
    _signal_itself(signal.SIGKILL)


def crash(_: Advance) -> None:
    _C_LIBRARY.memset(0, 0, 1)


def abort(_: Advance) -> NoReturn:
    os.abort()


def stop_itself(_: Advance) -> None:
    _signal_itself(signal.SIGSTOP)


def terminate_itself(_: Advance) -> None:
    """Not an end of the worker's: its signals are its supervisor's matter."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _signal_itself(signal.SIGTERM)


def loop_forever(_: Advance) -> None:
    while True:
        pass


def lock_twice(_: Advance) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def sleep_forever(_: Advance) -> None:
    time.sleep(_LONG_S)


def sleep_in_c(_: Advance) -> None:
    while True:
        _C_LIBRARY.sleep(_LONG_S)  # returns with any signal


def hold_interpreter_lock(_: Advance) -> None:
    while True:
        _C_LIBRARY_LOCKED.sleep(_LONG_S)


def ignore_signals(_: Advance) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def block_signals(_: Advance) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(_LONG_S)


def hog_memory(advance: Advance) -> None:
    hoard = []
    while True:
        hoard.append(b"x" * _HOG_STEP_BYTES)
        advance()
        time.sleep(0.05)  # what outruns the looks at its memory meets another limit


def hog_memory_in_child(advance: Advance) -> None:
    if os.fork() == 0:
        hog_memory(lambda: None)
    while True:
        advance()
        time.sleep(0.02)


def outgrow_soft_limit(_: Advance) -> None:
    """Keep memory past the end of the job, for which the worker is replaced."""
    for _number in range(SOFT_BYTES // _HOG_STEP_BYTES + 1):
        _KEPT.append(b"x" * _HOG_STEP_BYTES)
        # Filling memory holds the interpreter lock.
        time.sleep(0.01)


def fork_children(_: Advance) -> None:
    for _number in range(3):
        _fork_sleeper()


def leave_daemon(_: Advance) -> None:
    """Leave a process that has cut every tie it can: session, group, descriptors, environment."""
    subprocess.run([sys.executable, "-c", _DAEMON], env={}, check=True)


def leave_daemon_and_die(advance: Advance) -> NoReturn:
    leave_daemon(advance)
    os._exit(5)


def fork_children_and_hang(advance: Advance) -> None:
    fork_children(advance)
    time.sleep(_LONG_S)


def close_descriptors(_: Advance) -> None:
    os.closerange(0, 256)


def flood_output(advance: Advance) -> None:
    line = b"x" * 99 + b"\n"
    until_s = time.monotonic() + _FLOOD_S
    while time.monotonic() < until_s:
        os.write(1, line * 600)
        advance()
    # A line without an end, in no encoding.
    os.write(2, b"\xff" * 100_000)


def leave_thread(_: Advance) -> None:
    threading.Thread(target=time.sleep, args=(_LONG_S,), daemon=True).start()


def swallow_everything(_: Advance) -> None:
    """Go on whatever is raised, cancellation too."""
    until_s = time.monotonic() + _LONG_S
    while time.monotonic() < until_s:
        with contextlib.suppress(BaseException):
            time.sleep(_LONG_S)


def wait_for_cancellation(advance: Advance) -> None:
    until_s = time.monotonic() + _LONG_S
    while time.monotonic() < until_s:
        advance()
        time.sleep(0.05)


_KEPT: list[bytes] = []
_DAEMON = """
import os, sys
for fd in range(3): os.close(fd)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.execve(sys.executable, ["daemon", "-c", "import time; time.sleep(600)"], {})
    os._exit(0)
"""


def _signal_itself(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(_LONG_S)


def _fork_sleeper() -> None:
    if os.fork() == 0:
        time.sleep(_LONG_S)
        os._exit(0)


def _died(commit: Callable[[Advance], Any]) -> Misdeed:
    return Misdeed(commit, frozenset({"died"}))


def _error(commit: Callable[[Advance], Any], final: str = "") -> Misdeed:
    return Misdeed(commit, frozenset({"error"}), commit.__name__, final)


def _stuck(commit: Callable[[Advance], Any], cause: str = "stalled") -> Misdeed:
    return Misdeed(commit, frozenset({cause}), commit.__name__)


MISDEEDS: Final[Mapping[str, Misdeed]] = {
    misdeed.commit.__name__: misdeed
    for misdeed in (
        _died(exit_zero),
        _died(exit_three),
        _died(exit_recycled),
        _died(kill_itself),
        _died(crash),
        _died(abort),
        _died(terminate_itself),
        _died(leave_daemon_and_die),
        _error(exit_politely),
        _error(raise_error),
        _error(raise_unprintable),
        _error(raise_permanent, final="FAILED"),
        Misdeed(stop_itself, frozenset({"silent"})),
        _stuck(hold_interpreter_lock, "silent"),
        _stuck(loop_forever),
        _stuck(lock_twice),
        _stuck(sleep_forever),
        _stuck(sleep_in_c),
        _stuck(ignore_signals),
        _stuck(block_signals),
        _stuck(fork_children_and_hang),
        Misdeed(hog_memory, frozenset({"memory"})),
        Misdeed(hog_memory_in_child, frozenset({"memory"})),
        Misdeed(outgrow_soft_limit),
        Misdeed(fork_children),
        Misdeed(leave_daemon),
        Misdeed(close_descriptors),
        Misdeed(flood_output),
        Misdeed(leave_thread),
        Misdeed(
            swallow_everything,
            # Stalled, when nobody answers the call that cancels it for long.
            frozenset({"cancelled", "stalled"}),
            "swallow_everything",
            "CANCELLED",
        ),
        Misdeed(wait_for_cancellation, frozenset({"cancelled"}), final="CANCELLED"),
    )
}
"""By the names of their functions."""

TO_BE_CANCELLED: Final = frozenset({"swallow_everything", "wait_for_cancellation"})
"""These go on until the campaign cancels the job."""
