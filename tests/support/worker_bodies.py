"""What workers do in the tests of their host, which cares little what it is.

The body is named by the worker's pool. A body that is to be found doing something says so first, on
its page: phase RUNNING.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.workers.page import PageWriter
from engine.workers.zygote_fork import WorkerStart

_C_LIBRARY = ctypes.CDLL(None)
_C_LIBRARY_LOCKED = ctypes.PyDLL(None)  # calls through this one keep the interpreter lock


def main(start: WorkerStart) -> int:
    """Run the body that the pool names; its parameter follows a colon."""
    page = PageWriter(start.page_fd)
    page.begin("token")
    name, _, parameter = start.spec["pool"].partition(":")
    return BODIES[name](parameter) or 0


def _return(parameter: str) -> int:
    return int(parameter)


def _exit(parameter: str) -> None:
    os._exit(int(parameter))


def _raise_signal(parameter: str) -> None:
    os.kill(os.getpid(), getattr(signal, parameter))
    time.sleep(60)


def _fail(parameter: str) -> None:
    raise RuntimeError(parameter)


def _write_to_nobody(_: str) -> int:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        os.write(writing, b"x")
    except BrokenPipeError:
        return 5
    return 6


def _sleep(_: str) -> None:
    time.sleep(600)


def _loop_forever(_: str) -> None:
    while True:
        pass


def _deadlock(_: str) -> None:
    lock = threading.Lock()
    lock.acquire()
    waiting = threading.Thread(target=lock.acquire, name="waiting", daemon=True)
    waiting.start()
    lock.acquire()


def _sleep_in_c(_: str) -> None:
    while True:  # a signal, such as that for the stacks, ends a sleep
        _C_LIBRARY.sleep(600)


def _hold_lock_in_c(_: str) -> None:
    while True:  # as above
        _C_LIBRARY_LOCKED.sleep(600)


def _backtrack(_: str) -> None:
    re.fullmatch(r"(a+)+b", "a" * 60)


def _ignore_signals(_: str) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(600)


def _block_stacks_signal(_: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(600)


def _fork_children(parameter: str) -> None:
    for _ in range(int(parameter)):
        if os.fork() == 0:
            time.sleep(600)
    os.write(1, b"forked\n")
    time.sleep(600)


_DAEMON = """
import os, sys, time
for fd in range(3): os.close(fd)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.execve({python!r}, ["daemon", "-c", "import time; time.sleep(600)"], {{}})
    os._exit(0)
"""


def _leave_daemon(parameter: str) -> None:
    """Leave a daemon that has cut every tie it can: session, group, descriptors, environment."""
    program = _DAEMON.format(python=sys.executable)
    subprocess.run([sys.executable, "-c", program], env={}, check=True)
    os.write(1, b"daemon left\n")
    if parameter == "exit":
        time.sleep(0.2)  # so that it has come so far
        os._exit(3)
    time.sleep(600)


def _close_descriptors(_: str) -> None:
    os.closerange(0, 256)
    time.sleep(600)


def _flood(_: str) -> None:
    line = b"x" * 99 + b"\n"
    while True:
        os.write(1, line * 600)


def _flood_with_empty_lines(_: str) -> None:
    while True:
        os.write(1, b"\n" * 65_536)


def _print_oddly(_: str) -> None:
    os.write(1, b"ERROR plain\n\xff\xfe bytes\n\x1b[31mred\x1b[0m \x07bell\n" + b"y" * 100_000)
    os.write(2, b"\nno end")


def _hog(parameter: str) -> None:
    hoard = []
    while True:
        hoard.append(b"x" * (int(parameter) << 20))
        time.sleep(0.05)


def _hog_at_once(parameter: str) -> int:
    try:
        bytearray(int(parameter) << 30)
    except MemoryError:
        return 42
    return 0


def _hog_in_child(parameter: str) -> None:
    if os.fork() == 0:
        _hog(parameter)
    time.sleep(600)


def _describe(_: str) -> None:
    import random

    import numpy

    links = [*Path("/proc/self/fd").iterdir()]
    descriptors = sorted(str(link.readlink()) for link in links if link.is_symlink())
    facts: dict[str, Any] = {
        "cwd": str(Path.cwd()),
        "environment": sorted(os.environ),
        "parent": os.getppid(),
        "session": os.getsid(0) == os.getpid(),
        "umask": os.umask(0o077),
        "stdin": os.read(0, 10),
        "descriptors": descriptors,
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "random": (random.random(), numpy.random.random()),
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }
    for name, value in facts.items():
        sys.stdout.write(f"{name} {value!r}\n")


BODIES: dict[str, Callable[[str], int | None]] = {
    "return": _return,
    "exit": _exit,
    "raise_signal": _raise_signal,
    "fail": _fail,
    "write_to_nobody": _write_to_nobody,
    "sleep": _sleep,
    "loop_forever": _loop_forever,
    "deadlock": _deadlock,
    "sleep_in_c": _sleep_in_c,
    "hold_lock_in_c": _hold_lock_in_c,
    "backtrack": _backtrack,
    "ignore_signals": _ignore_signals,
    "block_stacks_signal": _block_stacks_signal,
    "fork_children": _fork_children,
    "leave_daemon": _leave_daemon,
    "close_descriptors": _close_descriptors,
    "flood": _flood,
    "flood_with_empty_lines": _flood_with_empty_lines,
    "print_oddly": _print_oddly,
    "hog": _hog,
    "hog_at_once": _hog_at_once,
    "hog_in_child": _hog_in_child,
    "describe": _describe,
}
