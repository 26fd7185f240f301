"""The process that workers are forked from. Run as a script: `zygote.py SOCKET PARENT`.

Importing pandas and scikit-learn takes seconds, a fork of a process that has them takes
milliseconds. The zygote is executed, not forked from the engine, whose threads and their locks
would not survive a fork; it runs a single thread itself, imports what tasks need, and then forks a
worker whenever the engine asks. What the two say to each other is in `zygote_wire.py`.

When the engine dies the kernel kills the workers. What their jobs had forked is left; the zygote
sees its socket end, kills what carries the mark of this engine, and leaves as well.
"""

import contextlib
import faulthandler
import fcntl
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.workers import zygote_fork, zygote_wire
from engine.workers.linux import set_death_signal
from engine.workers.marks import Mark, decode_mark, mark_this_process, marked_processes
from engine.workers.proctable import threads_of

_SWEEP_S = 1.5
_SWEEP_POLL_S = 0.02


def main(arguments: list[str]) -> NoReturn:
    channel = socket.socket(fileno=int(arguments[0]))
    engine_pid = int(arguments[1])
    # While it imports it can hang in somebody's code, and there is nothing to clean up yet.
    set_death_signal(signal.SIGKILL)
    if os.getppid() != engine_pid:
        os._exit(zygote_wire.ORPHANED)
    # Keys pressed in the engine's terminal, or a stray `kill`, are the engine's to answer.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    config = zygote_wire.receive_config(channel)
    marked = mark_this_process(config.mark)
    started_s = time.monotonic()
    missing = _import(config)
    stacks_fd = _register_stacks()
    threads = threads_of(os.getpid())
    if len(threads) != 1:
        # Forking now would copy locks that nobody will ever release.
        raise SystemExit(
            f"the imports started {len(threads) - 1} threads; a fork needs there be none"
        )
    gc.collect()
    gc.freeze()
    # It must see the end of its socket, even if somebody has stopped it.
    set_death_signal(signal.SIGCONT)
    zygote_wire.send(
        channel,
        {
            "op": "ready",
            "seconds": time.monotonic() - started_s,
            "missing": missing,
            "marked": marked,
        },
    )
    worker = _serve(channel, engine_pid, config, stacks_fd)
    if worker is None:
        _sweep(config.mark)
        os._exit(0)
    zygote_fork.run_worker(config.entry, worker)


def _import(config: zygote_wire.ZygoteConfig) -> list[str]:
    """Import what tasks need; return what could not be, with the reason.

    What is missing may not be needed: its job fails when it asks for it, with the same reason.
    """
    sys.path[:] = [*dict.fromkeys([sys.path[0], *config.import_paths])]
    zygote_fork.set_title("trellis zygote")
    missing = []
    for name in config.preload:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - whatever a module raises while it is imported
            missing.append(f"{name}: {type(error).__name__}: {error}")
    importlib.import_module(config.entry.partition(":")[0])
    return missing


def _register_stacks() -> int:
    """Let the signal for stacks write to a descriptor that each worker will replace by its own.

    Registered here already: in a process that is not prepared the signal would be deadly. The
    number is a high one since what jobs close by mistake are low ones.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, min(soft, 1024) - 8)
    os.close(low)
    faulthandler.register(zygote_wire.STACKS_SIGNAL, file=high, all_threads=True)
    faulthandler.register(zygote_wire.OWN_STACK_SIGNAL, file=high, all_threads=False)
    return high


def _serve(
    channel: socket.socket, engine_pid: int, config: zygote_wire.ZygoteConfig, stacks_fd: int
) -> zygote_fork.WorkerStart | None:
    """Answer the engine; return in each worker with what it starts with, None at the end."""
    while True:
        received = zygote_wire.receive(channel)
        if received is None:
            return None
        request, descriptors = received
        if request["op"] == "ping":
            _answer(channel, {"op": "pong"})
            continue
        if len(descriptors) < 3:
            for descriptor in descriptors:
                os.close(descriptor)
            _answer(channel, _failure(request, "no descriptors were free for it"))
            continue
        start = zygote_fork.WorkerStart(
            spec=request["spec"],
            settings=config.worker,
            stacks_fd=stacks_fd,
            page_fd=descriptors[2],
        )
        try:
            status = zygote_fork.fork_worker(channel, request, descriptors, start, engine_pid)
        except OSError as error:
            _answer(channel, _failure(request, f"cannot fork: {error.strerror}"))
        else:
            if status is None:
                return start
            if status != 0:
                _answer(channel, _failure(request, f"the fork ended with {status}"))
        finally:
            # In a worker these are in their places by now.
            for descriptor in descriptors[:2]:
                os.close(descriptor)
        os.close(descriptors[2])


def _answer(channel: socket.socket, message: dict[str, Any]) -> None:
    # That nobody is there any more is what is received next, and then there is to be swept.
    with contextlib.suppress(BrokenPipeError):
        zygote_wire.send(channel, message)


def _failure(request: dict[str, Any], detail: str) -> dict[str, Any]:
    return {"op": "failed", "id": request["id"], "detail": detail}


def _sweep(limit: int) -> None:
    """Kill all that carries this engine's mark, until nothing is found any more."""
    mark: Mark | None = decode_mark(limit)
    deadline_s = time.monotonic() + _SWEEP_S
    while time.monotonic() < deadline_s:
        found = [pid for pid, other in marked_processes() if other == mark]
        living = 0
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            living += 1
        if living == 0:
            return
        time.sleep(_SWEEP_POLL_S)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception:  # noqa: BLE001 - the engine logs what comes out here
        traceback.print_exc()
        os._exit(1)
