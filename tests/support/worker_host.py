"""A host of real worker processes whose bodies are those of `worker_bodies`."""

import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from engine.workers.host import EngineAddress, SpawnSpec
from engine.workers.local_host import LocalHost, LocalHostSettings, open_local_host
from engine.workers.marks import mark_of
from engine.workers.page import Phase
from engine.workers.process import LocalWorker
from engine.workers.proctable import all_pids, read_stat

NOWHERE = EngineAddress("127.0.0.1", 1, "token")

_numbers = itertools.count()


@asynccontextmanager
async def open_test_host(data_dir: Path, **settings: Any) -> AsyncIterator[LocalHost]:
    """Open a host with a zygote that imports little, and wait until that is ready."""
    wanted = LocalHostSettings(
        data_dir=data_dir,
        entry="tests.support.worker_bodies:main",
        **{"preload": ("numpy",), **settings},
    )
    async with open_local_host(wanted, NOWHERE) as host:
        await host.zygote_ready.wait()
        yield host


async def spawn(host: LocalHost, body: str) -> LocalWorker:
    """Spawn a worker and wait until its body runs."""
    number = next(_numbers)
    title = f"trellis worker {number} test"
    worker = await host.spawn(SpawnSpec(f"worker-{number}", "slot-1", body, title))
    await until(lambda: worker.page().phase is Phase.RUNNING or worker.ended)
    return worker


async def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until the condition holds."""
    with trio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110 - the outside world sends no events
            await trio.sleep(0.002)


async def until_printed(worker: LocalWorker, line: str) -> None:
    """Wait until the worker has printed a line."""
    await until(lambda: line in worker.last_output())


def marked_like(pid: int) -> list[int]:
    """Return the living processes with the same mark, this one included."""
    mark = mark_of(pid)
    assert mark is not None
    return [other for other in all_pids() if is_alive(other) and mark_of(other) == mark]


def is_alive(pid: int) -> bool:
    """Return whether there is such a process, and not only its remains."""
    stat = read_stat(pid)
    return stat is not None and not stat.ended


def title_of(pid: int) -> str:
    """Return what `ps` shows of a process, nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    except OSError:
        return ""


def own_children() -> list[int]:
    """Return the children of this process, unreaped ones included."""
    me = os.getpid()
    stats = [read_stat(pid) for pid in all_pids()]
    return [stat.pid for stat in stats if stat is not None and stat.parent == me]
