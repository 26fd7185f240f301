"""What a round must not leave behind."""

import contextlib
import os
from pathlib import Path
from typing import Final

import attrs
import redis
import trio

from engine.workers.marks import marked_processes, new_mark
from engine.workers.proctable import children_of, read_stat, threads_of
from tests.faults.registry import title_of
from tests.faults.world import WORKERS, World

SETTLE_S: Final = 30.0
"""Until the last worker has been replaced and the last stray has been found."""
DESCRIPTORS: Final = 24
"""An engine may have so many more than after its first round: clients come and go."""
THREADS: Final = 8
"""So many more, since idle threads are kept for some seconds."""
MEMORY_BYTES: Final = 160 << 20
"""So much more: the data file's buffers grow up to their limit."""
_POLL_S: Final = 0.1
_EMPTY_KEYS: Final = ("live", "delayed", "leased", "held", "reserved")


@attrs.frozen
class Usage:
    """What an engine takes of the machine."""

    descriptors: int
    threads: int
    memory_bytes: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        stat = read_stat(pid)
        assert stat is not None
        descriptors = len([*Path(f"/proc/{pid}/fd").iterdir()])
        return cls(descriptors, len(threads_of(pid)), stat.rss_bytes)


@attrs.define
class LeakCheck:
    """Looks for what is left; compares an engine with what it was after its first round."""

    _first: dict[int, Usage] = attrs.field(factory=dict)
    grown: list[Usage] = attrs.field(factory=list)
    """By how much engines had grown after later rounds."""

    async def look(self, world: World) -> list[str]:
        """Return what is there that should not be, once it has had time to go."""
        left: list[str] = []
        with trio.move_on_after(SETTLE_S):
            while left := await trio.to_thread.run_sync(_look, world):  # noqa: ASYNC110
                await trio.sleep(_POLL_S)
        return [*left, *self._compare(world.target.engine_pid)]

    def _compare(self, pid: int) -> list[str]:
        now = Usage.of(pid)
        first = self._first.setdefault(pid, now)
        growth = Usage(
            now.descriptors - first.descriptors,
            now.threads - first.threads,
            now.memory_bytes - first.memory_bytes,
        )
        self.grown.append(growth)
        limits = Usage(DESCRIPTORS, THREADS, MEMORY_BYTES)
        return [
            f"the engine {pid} has {field} {getattr(now, field)}, {getattr(growth, field)} more "
            "than after its first round"
            for field in ("descriptors", "threads", "memory_bytes")
            if getattr(growth, field) > getattr(limits, field)
        ]


def find_marked(data_dir: Path) -> list[int]:
    """Return the processes of workers of this folder, whatever they have done to hide."""
    folder = new_mark(data_dir).folder
    return [pid for pid, mark in marked_processes() if mark.folder == folder]


def _look(world: World) -> list[str]:
    left = [
        *_look_at_processes(world),
        *_look_at_folders(world),
        *_look_at_nameless_files(world),
        *_look_at_queue(world),
    ]
    return [*left, *(text for host in world.target.remote_hosts for text in host.find_left())]


def _look_at_processes(world: World) -> list[str]:
    target = world.target
    found = target.processes()
    known = {found.zygote, found.redis, found.broker, *found.workers.values()}
    left = [
        f"missing: {what}"
        for what, pid in (("zygote", found.zygote), ("workers", len(found.workers) == WORKERS))
        if not pid
    ]
    children = set(children_of(found.engine))
    marked = set(find_marked(target.data_dir))
    strangers = (children | marked) - known - {found.engine}
    left += [f"process {pid}: {_describe(pid)}" for pid in sorted(strangers)]
    stopped = [pid for pid in known if pid and (stat := read_stat(pid)) and stat.stopped]
    return [*left, *(f"process {pid} is stopped: {_describe(pid)}" for pid in stopped)]


def _describe(pid: int) -> str:
    stat = read_stat(pid)
    return "gone" if stat is None else f"{title_of(pid)!r}, {stat.describe()}, of {stat.parent}"


def _look_at_folders(world: World) -> list[str]:
    folders = sorted(os.listdir(world.target.data_dir / "workers"))  # noqa: PTH208 - names
    living = {worker.worker_id for worker in world.api.workers()}
    return [f"folder of a worker that is gone: {name}" for name in folders if name not in living]


def _look_at_nameless_files(world: World) -> list[str]:
    """The rows of uploads that have not ended are in such files."""
    data_dir = str(world.target.data_dir.absolute())
    left = []
    for path in Path(f"/proc/{world.target.engine_pid}/fd").iterdir():
        # Some are closed meanwhile.
        with contextlib.suppress(OSError):
            target = str(path.readlink())
            if target.startswith(data_dir) and target.endswith("(deleted)"):
                left.append(f"the engine holds the nameless file {target}")
    return left


def _look_at_queue(world: World) -> list[str]:
    left = [
        f"pool {pool.pool!r}: {pool.ready} ready, {pool.delayed} delayed, {pool.leased} leased"
        for pool in world.api.queue().pools
        if pool.ready or pool.delayed or pool.leased
    ]
    with _open_redis(world) as client:
        for name in client.scan_iter("*"):
            key = name.decode().rpartition("}:1:")[2]
            if key in _EMPTY_KEYS or key.startswith("ready:"):
                left.append(f"the key {name.decode()} of ended jobs is still there")
    return left


def _open_redis(world: World) -> redis.Redis:
    url = next(
        (
            setting.removeprefix("redis.url=")
            for setting in world.target.settings
            if setting.startswith("redis.url=")
        ),
        f"unix://{world.target.data_dir / 'redis' / 'redis.sock'}",
    )
    return redis.Redis.from_url(url, socket_timeout=5.0)
