"""Disks that are full: a small one of the engine's own, or a limit on the size of its files."""

import contextlib
import errno
import os
import random
import resource
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import trio

from engine.workers.proctable import read_stat
from tests.faults.feature_answers import read_metric
from tests.faults.registry import Facility, Fault, Installed, Site, Target

_CAP_SYS_ADMIN = 21
_FILLER = ".filler"
_FILL_STEP_BYTES = (1 << 20, 4_096)
_STOPPED_S = 20.0
"""A writer that fails stops the engine within moments; its children have their own seconds."""
_LOOK_S = 0.05
EXIT_FAILED = 1
COMMITS = "trellis_commit_seq"
ENDS_ATTEMPTS_WITH = frozenset({"engine_lost", "shutdown", "died"})


def may_mount() -> bool:
    """Tell whether this process may mount a file system."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


@attrs.frozen
class SmallDisk:
    """A file system in memory that can be filled to the last block."""

    folder: Path

    def fill(self) -> int:
        """Take all space that is left; return how many bytes that was."""
        taken = 0
        with (self.folder / _FILLER).open("ab", buffering=0) as filler:
            for step_bytes in _FILL_STEP_BYTES:
                with contextlib.suppress(_DiskFullError):
                    while True:
                        taken += _write(filler.fileno(), bytes(step_bytes))
        return taken

    def free(self) -> None:
        """Give the space back."""
        (self.folder / _FILLER).unlink(missing_ok=True)


class _DiskFullError(Exception):
    """Not one byte more."""


def _write(descriptor: int, content: bytes) -> int:
    try:
        return os.write(descriptor, content)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _DiskFullError from None


@contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount a small disk on a folder, which is made, while the block runs.

    Raises:
      subprocess.CalledProcessError: it cannot be mounted; see `may_mount`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_bytes},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "trellis-test", folder], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that is just being killed may still hold a file.
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def file_size_limit(pid: int, most_bytes: int) -> Iterator[None]:
    """Let no file of a running process grow past a size, while the block runs and it lives.

    A write that would fails with EFBIG, where a full disk has ENOSPC; that goes without privilege
    and hits this process alone, not its children.
    """
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


@attrs.frozen
class DataDisk:
    """A small disk for the data folder."""

    name: str = "small_disk"
    size_bytes: int = 256 << 20

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        with mounted(site.folder / "data", self.size_bytes) as disk:
            yield Installed(disk)


@attrs.frozen
class RedisDisk:
    """A small disk for the files of the embedded Redis alone."""

    name: str = "small_redis_disk"
    size_bytes: int = 64 << 20

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        with mounted(site.folder / "data" / "redis", self.size_bytes) as disk:
            yield Installed(disk)


@attrs.frozen
class FullDataDisk:
    """No space is left in the data folder for a while; an engine that stops is started again."""

    name: str = "data_disk_full"
    needs: frozenset[str] = frozenset({"small_disk"})
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Fill the disk, wait a while, free it, and see that an engine runs."""
        disk: SmallDisk = target.facilities["small_disk"]
        async with target.engine_lock:
            target.note_engine_end(ENDS_ATTEMPTS_WITH)
            try:
                taken = disk.fill()
                await trio.sleep(rng.uniform(0.1, 2.0))
            finally:
                disk.free()
            outcome = await start_again_if_stopped(target)
        return f"last {taken:,} bytes taken; {outcome}"


@attrs.frozen
class FilesMayNotGrow:
    """A limit on the size of the engine's files, just above that of the write-ahead log."""

    name: str = "files_may_not_grow"
    needs: frozenset[str] = frozenset()
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Limit it, wait a while, lift the limit, and see that an engine runs."""
        async with target.engine_lock:
            target.note_engine_end(ENDS_ATTEMPTS_WITH)
            most_bytes = read_wal_bytes(target) + rng.randrange(20_000)
            with file_size_limit(target.engine_pid, most_bytes):
                await trio.sleep(rng.uniform(0.1, 2.0))
            outcome = await start_again_if_stopped(target)
        return f"files limited to {most_bytes:,} bytes; {outcome}"


@attrs.frozen
class FullRedisDisk:
    """No space is left for Redis' files for a while."""

    name: str = "redis_disk_full"
    needs: frozenset[str] = frozenset({"small_redis_disk"})
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Fill the disk, wait a while and free it."""
        disk: SmallDisk = target.facilities["small_redis_disk"]
        try:
            taken = disk.fill()
            await trio.sleep(rng.uniform(0.5, 3.0))
        finally:
            disk.free()
        return f"last {taken:,} bytes taken"


def read_wal_bytes(target: Target) -> int:
    """Return the size of the write-ahead log."""
    try:
        return (target.data_dir / "trellis.duckdb.wal").stat().st_size
    except FileNotFoundError:
        return 0


async def start_again_if_stopped(target: Target) -> str:
    """See that an engine runs after its disk was full: it does, or it stopped as it should."""
    outcome = "the engine went on"
    if not await trio.to_thread.run_sync(_goes_on, target):
        code = await trio.to_thread.run_sync(target.engine.wait, _STOPPED_S)
        if code != EXIT_FAILED:
            target.violations.append(f"a full disk ended the engine with {code}")
        await trio.to_thread.run_sync(target.engine.start)
        outcome = f"the engine stopped with {code}, and another was started"
    target.note_engine_start()
    return outcome


def _goes_on(target: Target) -> bool:
    """Tell whether the engine still writes; one that has met the full disk is about to end."""
    first: float | None = None
    give_up_at_s = time.monotonic() + _STOPPED_S
    while time.monotonic() < give_up_at_s:
        stat = read_stat(target.engine_pid)
        if stat is None or stat.ended:
            return False
        # Its HTTP server may have ended before it.
        with contextlib.suppress(OSError):
            commits = read_metric(target.engine, COMMITS)
            first = commits if first is None else first
            if commits is not None and first is not None and commits > first:
                return True
        time.sleep(_LOOK_S)
    return True  # and had nothing to write


FACILITIES: tuple[Facility, ...] = (DataDisk(), RedisDisk()) if may_mount() else ()
FAULTS: tuple[Fault, ...] = (
    FilesMayNotGrow(),
    *((FullDataDisk(), FullRedisDisk()) if may_mount() else ()),
)
