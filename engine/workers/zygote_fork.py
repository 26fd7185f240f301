"""Becoming a worker: what happens between the fork in the zygote and the first line of tasks."""

import importlib
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import traceback
from typing import Any, Final, NoReturn

import attrs
from setproctitle import setproctitle

from engine.workers import zygote_wire
from engine.workers.exits import WorkerExit
from engine.workers.linux import set_child_subreaper, set_death_signal

_ADOPTED: Final = signal.SIGUSR1
_ADOPTION_S: Final = 5.0
_OOM_SCORE_ADJ: Final = 500
"""Under memory pressure the kernel takes workers before the engine, whose data is everybody's."""


@attrs.frozen
class WorkerStart:
    """What a worker starts with.

    `spec` is this worker's own: worker_id, slot, pool, title, folder. `settings` are those of all
    workers of its host: address and token of the engine, intervals, limits, handlers.
    """

    spec: dict[str, Any]
    settings: dict[str, Any] = attrs.field(repr=False)
    stacks_fd: int
    page_fd: int


def set_title(title: str) -> None:
    """Set what `ps` shows of this process."""
    setproctitle(title)


def fork_worker(
    channel: socket.socket,
    request: dict[str, Any],
    descriptors: list[int],
    start: WorkerStart,
    engine_pid: int,
) -> int | None:
    """Fork twice, so that the engine adopts the worker; return None in it.

    In the zygote: return the exit status of the process in between, which has sent the answer
    before it ended. It sends it itself because it alone, as the worker's parent, can be sure that
    the number it opens a pidfd for is still the worker's.

    Raises:
      OSError: the first fork failed; this is the zygote.
    """
    between = os.fork()
    if between != 0:
        _, status = os.waitpid(between, 0)
        return os.waitstatus_to_exitcode(status)
    try:
        # The worker waits for this one, so that it cannot miss its adoption.
        signal.pthread_sigmask(signal.SIG_BLOCK, {_ADOPTED})
        me = os.getpid()
        worker = os.fork()
        if worker == 0:
            _become_worker(channel, descriptors, start, between=me, engine_pid=engine_pid)
            return None
        answer = {"op": "spawned", "id": request["id"], "pid": worker}
        zygote_wire.send(channel, answer, (os.pidfd_open(worker),))
        os._exit(0)
    except BaseException:  # noqa: BLE001 - must not go on as a second zygote
        try:
            traceback.print_exc()
        finally:  # also if the engine, which reads that, is gone
            os._exit(1)


def _become_worker(
    channel: socket.socket,
    descriptors: list[int],
    start: WorkerStart,
    *,
    between: int,
    engine_pid: int,
) -> None:
    """Make this process independent of the zygote and the engine's own.

    From here on its output goes to the engine as the worker's.
    """
    # While the process in between ends, which is when it gives back the memory of its fork, this
    # one has its own things to do.
    set_death_signal(_ADOPTED)
    channel.close()
    output_fd, stacks_fd, _ = descriptors
    for number in (1, 2):
        os.dup2(output_fd, number)
    os.dup2(stacks_fd, start.stacks_fd, inheritable=False)
    os.setsid()
    # Daemons of its jobs stay below it, for as long as it lives, and can be found there.
    set_child_subreaper(enabled=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    _set_limits(start.settings)
    folder = start.spec["folder"]
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder)
    tempfile.tempdir = folder
    set_title(start.spec["title"])
    _seed_random()
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    _wait_for_adoption(between, engine_pid)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _wait_for_adoption(between: int, engine_pid: int) -> None:
    """Return once the engine is the parent, its death then being this process' death.

    The kernel tells of a death by signal, so having asked for one is how to wait without polling.
    It counts the adoption as a death of the parent: the final request must come after.
    """
    if os.getppid() == between:
        signal.sigtimedwait({_ADOPTED}, _ADOPTION_S)
    set_death_signal(signal.SIGKILL)
    if os.getppid() != engine_pid:
        os._exit(zygote_wire.ORPHANED)
    # One that came between the request and the look at the parent.
    signal.sigtimedwait({_ADOPTED}, 0)


def _set_limits(settings: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data_bytes: int | None = settings["data_bytes_max"]
    if data_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = data_bytes if hard == resource.RLIM_INFINITY else min(data_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, wanted))
    with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:  # noqa: PTH123
        if int(file.read()) < _OOM_SCORE_ADJ:
            file.write(str(_OOM_SCORE_ADJ).encode())


def _seed_random() -> None:
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def run_worker(entry: str, start: WorkerStart) -> NoReturn:
    """Run the worker's entry function and leave with the code it returns."""
    code: int = WorkerExit.FAULTY
    try:
        module, _, function = entry.partition(":")
        code = getattr(importlib.import_module(module), function)(start)
    except BaseException:  # noqa: BLE001 - told to the engine, which logs it
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                # A job closed it: nobody is left to tell.
                continue
        # Not by returning: below are the zygote's frames and its exit handlers.
        os._exit(code)
