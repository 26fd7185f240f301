"""The worker processes of this machine."""

import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from engine.errors import StartFailedError
from engine.tracing import LIBRARY, TraceSettings
from engine.workers.host import LOCAL_HOST, EngineAddress, SpawnSpec
from engine.workers.host_resources import open_resources
from engine.workers.linux import is_child_subreaper, require_linux, set_child_subreaper
from engine.workers.marks import new_mark
from engine.workers.orphans import remove_folder, remove_folders, remove_orphans
from engine.workers.process import LocalWorker
from engine.workers.strays import StrayCatcher
from engine.workers.zygote_keeper import ZygoteKeeper
from engine.workers.zygote_wire import ZygoteConfig

logger = logging.getLogger(__name__)

PRELOAD: Final = (
    "numpy",
    "msgspec",
    "pyarrow",
    "pyarrow.csv",
    "pyarrow.json",
    "pyarrow.parquet",
    "pandas",
    "sklearn.linear_model",
    "sklearn.ensemble",
    # By way of what reads models: seconds, which whoever waits for a new scoring worker has not.
    "engine.tasks.train",
    "engine.tasks.score",
)
"""What takes long to import and many jobs need."""

_MEMORY_INTERVAL_S: Final = 0.25
_FORGOTTEN_INTERVAL_S: Final = 5.0
_KILL_S: Final = 10.0
_LINGERING_MAX: Final = 16
"""Workers that the kernel holds back keep their memory; with more, there is something to repair."""
_TIDY_S: Final = 2.0
_GONE_AFTER_DEADLINES: Final = 6  # an engine that was merely suspended should find them again
_VIRTUAL_FACTOR: Final = 2
_VIRTUAL_SLACK_BYTES: Final = 1 << 30


@attrs.frozen(kw_only=True)
class LocalHostSettings:
    """What a host and its workers are held to. Times in seconds.

    A worker over `memory_soft_bytes` at the end of a job asks to be replaced, as after
    `recycle_after_jobs`; over `memory_hard_bytes`, `WorkerProcess.wait_over_memory` tells. None: no
    limit. `handlers` are "module:function" by type of job, beside the built-in ones.
    """

    data_dir: Path
    name: str = LOCAL_HOST
    entry: str = "engine.tasks.entry:main"
    """What a worker runs; by name, since what is inside a worker stands above this package."""
    check_interval_s: float = 1.0
    check_deadline_s: float = 5.0
    memory_hard_bytes: int | None = None
    memory_soft_bytes: int | None = None
    recycle_after_jobs: int | None = None
    handlers: Mapping[str, str] = attrs.field(factory=dict)
    preload: tuple[str, ...] = PRELOAD
    log_level: str = "INFO"
    traces: TraceSettings | None = None
    """Where workers send their spans themselves. By the zygote's socket: no environment has it."""
    engine_gone_after_s: float | None = None
    """A worker whose checks nobody has answered for this long leaves. None: long after the
    deadline, as on the engine's machine the kernel tells when the engine dies."""
    start_timeout_s: float = 30.0


@asynccontextmanager
async def open_local_host(
    settings: LocalHostSettings, connect: EngineAddress
) -> AsyncIterator["LocalHost"]:
    """Run worker processes here; on leaving, kill all of them.

    The first zygote is started beside the block, which does not wait for it. What an earlier engine
    has left of its workers is removed first.

    Args:
      settings: `data_dir` exists, and no other host uses it.
      connect: where workers find the engine.
    Raises:
      FailedPreconditionError: this system cannot hold worker processes to their promises.
    Cancellation: the workers are killed; bounded.
    """
    require_linux()
    mark = new_mark(settings.data_dir)
    scratch = settings.data_dir.absolute() / "workers"
    was_subreaper = is_child_subreaper()
    set_child_subreaper(enabled=True)
    try:
        await trio.to_thread.run_sync(remove_orphans, mark)
        await trio.to_thread.run_sync(remove_folders, scratch)
        scratch.mkdir(mode=0o700, exist_ok=True)
        config = ZygoteConfig(
            mark=mark.limit,
            import_paths=_import_paths(),
            # Loaded once, before the forks; it starts no thread.
            preload=[*settings.preload, *([] if settings.traces is None else [LIBRARY])],
            entry=settings.entry,
            worker=_worker_settings(settings, connect),
        )
        keeper = ZygoteKeeper(config, mark.variable, scratch)
        strays = StrayCatcher(mark, keeper.known_pids)
        async with trio.open_nursery() as nursery:
            host = LocalHost(settings, scratch, keeper, strays, nursery)
            try:
                async with trio.open_nursery() as background:
                    background.start_soon(keeper.run)
                    background.start_soon(host.watch_memory)
                    background.start_soon(host.reap_forgotten)
                    try:
                        yield host
                    finally:
                        # First of all: a remote host's lease may have ended.
                        host.kill_all()
                        background.cancel_scope.cancel()
            finally:
                await host.close()
                # For the removal of folders; what is left then, the next host removes.
                nursery.cancel_scope.deadline = trio.current_time() + _TIDY_S
    finally:
        set_child_subreaper(enabled=was_subreaper)


def _import_paths() -> list[str]:
    """Return where workers find modules: where this process does."""
    return [str(Path(path).absolute()) for path in sys.path if path]


def _worker_settings(settings: LocalHostSettings, connect: EngineAddress) -> dict[str, Any]:
    """Return what all workers of the host are told, ready for JSON."""
    hard = settings.memory_hard_bytes
    return {
        "engine": attrs.asdict(connect),
        "check_interval_s": settings.check_interval_s,
        "check_deadline_s": settings.check_deadline_s,
        "engine_gone_after_s": settings.engine_gone_after_s
        or _GONE_AFTER_DEADLINES * settings.check_deadline_s,
        "memory_soft_bytes": settings.memory_soft_bytes,
        "recycle_after_jobs": settings.recycle_after_jobs,
        "handlers": dict(settings.handlers),
        "log_level": settings.log_level,
        "traces": None if settings.traces is None else attrs.asdict(settings.traces),
        # Against what is faster than the looks at its memory. Of address space, so generous: a
        # thread's stack alone takes 8 MB of it.
        "data_bytes_max": None if hard is None else _VIRTUAL_FACTOR * hard + _VIRTUAL_SLACK_BYTES,
    }


class LocalHost:
    """The `Host` of this machine; made by `open_local_host`."""

    def __init__(
        self,
        settings: LocalHostSettings,
        scratch: Path,
        keeper: ZygoteKeeper,
        strays: StrayCatcher,
        nursery: trio.Nursery,
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._scratch = scratch
        self._keeper = keeper
        self._strays = strays
        self._nursery = nursery
        self._workers: dict[int, LocalWorker] = {}
        self._closing = False

    @property
    def zygote_ready(self) -> trio.Event:
        """Set once workers start within milliseconds."""
        return self._keeper.ready

    async def spawn(self, spec: SpawnSpec) -> LocalWorker:
        """Start a worker. As `Host.spawn`; waits for a zygote if there is none yet."""
        if self._closing:
            raise StartFailedError("the host is closing")
        lingering = sum(worker.lingers for worker in self._workers.values())
        if lingering >= _LINGERING_MAX:
            raise StartFailedError(f"{lingering} killed workers are held back by the kernel")
        try:
            with open_resources(self._scratch / spec.worker_id) as resources:
                forked = await self._keeper.fork(
                    {**attrs.asdict(spec), "folder": str(resources.folder)},
                    resources.handed_over,
                    self._settings.start_timeout_s,
                )
        except OSError as error:
            raise StartFailedError(f"a worker's resources are refused: {error}") from error
        worker = LocalWorker(
            spec,
            host=self.name,
            pid=forked.pid,
            pidfd=forked.pidfd,
            output_fd=resources.output_fd,
            stacks_fd=resources.stacks_fd,
            page=resources.page,
            memory_hard_bytes=self._settings.memory_hard_bytes,
        )
        self._workers[worker.pid] = worker
        self._nursery.start_soon(self._attend, worker, resources.folder)
        if self._closing:
            worker.kill_nowait()
        return worker

    async def _attend(self, worker: LocalWorker, folder: Path) -> None:
        await worker.attend(self._strays.clear, self._forget)
        await trio.to_thread.run_sync(remove_folder, folder, abandon_on_cancel=True)

    def _forget(self, pid: int) -> None:
        del self._workers[pid]
        self._keeper.forget(pid)

    async def watch_memory(self) -> None:
        """Look at the memory of every worker, again and again."""
        while True:
            await trio.sleep(_MEMORY_INTERVAL_S)
            for worker in [*self._workers.values()]:
                worker.look_at_memory()
                # One at a time: a worker with a thousand processes must not hold up the loop.
                await trio.lowlevel.checkpoint()

    async def reap_forgotten(self) -> None:
        """Reap what nobody else does, again and again."""
        while True:
            await trio.sleep(_FORGOTTEN_INTERVAL_S)
            await self._strays.clear()
            self._strays.reap_forgotten(trio.current_time())

    def kill_all(self) -> None:
        """Kill all workers, and start no more."""
        self._closing = True
        for worker in self._workers.values():
            worker.kill_nowait()

    async def close(self) -> None:
        """Kill all workers, and what was on the way to be one.

        Cancellation: shielded and bounded.
        """
        self.kill_all()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _KILL_S):
            for worker in [*self._workers.values()]:
                await worker.wait()
            await self._strays.clear()
        if self._workers:
            logger.error("killed workers are left behind", extra={"pids": [*self._workers]})
            for worker in self._workers.values():
                worker.abandon()
