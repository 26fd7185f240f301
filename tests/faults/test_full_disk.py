"""No space left, under the real program: refused clearly, nothing acknowledged lost."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.faults.disk import (
    DataDisk,
    RedisDisk,
    SmallDisk,
    file_size_limit,
    may_mount,
    mounted,
    read_wal_bytes,
)
from tests.faults.registry import Target
from tests.faults.small_world import client_of, open_world
from tests.faults.steady_load import SteadyLoad
from tests.support.engine_process import EngineProcess

in_thread = trio.to_thread.run_sync

needs_mount = pytest.mark.skipif(not may_mount(), reason="this user may not mount a small disk")


@pytest.mark.parametrize("means", [pytest.param("small disk", marks=needs_mount), "limit on files"])
async def test_full_disk_stops_the_engine_clearly_and_the_next_one_has_all_that_was_acknowledged(
    tmp_path: Path, means: str
) -> None:
    facilities = [DataDisk()] if means == "small disk" else []
    async with open_world(tmp_path, facilities) as target:
        with client_of(target) as client, SteadyLoad(client, tmp_path) as load:
            await in_thread(wait_until, lambda: load.acknowledged >= 5)
            with no_space_left(target, means):
                code = await in_thread(target.engine.wait, 20.0)
            assert code == 1
            message = target.engine.log_tail(60)
            assert re.search(r"error: writing .*trellis\.duckdb failed: .*free disk space", message)
            assert "Traceback" not in message
            # To a client it is an engine that is away: the same call goes to the next one.
            assert {text.partition(":")[0] for text in load.refusals} <= {"UNAVAILABLE"}
            acknowledged = load.acknowledged
            await in_thread(target.engine.start)
            await in_thread(wait_until, lambda: load.acknowledged >= acknowledged + 5)
            await in_thread(load.stop)
            await in_thread(load.wait_all_ended)
            assert await in_thread(target.engine.stop) == 0, target.engine.log_tail()
            found = load.find_violations(target.data_dir / "trellis.duckdb")
            assert not found, "\n".join([*found[:20], target.engine.log_tail(20)])


@needs_mount
async def test_full_disk_of_redis_delays_jobs_and_nothing_else(tmp_path: Path) -> None:
    async with open_world(tmp_path, [RedisDisk()]) as target:
        disk: SmallDisk = target.facilities["small_redis_disk"]
        with client_of(target) as client, SteadyLoad(client, tmp_path) as load:
            await in_thread(wait_until, lambda: load.acknowledged >= 5)
            disk.fill()
            acknowledged = load.acknowledged
            await in_thread(wait_until, lambda: load.acknowledged >= acknowledged + 20)
            await in_thread(client.read_features, 1)
            disk.free()
            await in_thread(load.stop)
            await in_thread(load.wait_all_ended)
            assert await in_thread(target.engine.stop) == 0, target.engine.log_tail()
            found = load.find_violations(target.data_dir / "trellis.duckdb")
            assert not found, "\n".join([*found[:20], target.engine.log_tail(20)])


@needs_mount
async def test_engine_does_not_start_on_a_full_disk_and_says_why(tmp_path: Path) -> None:
    with mounted(tmp_path / "data", 32 << 20) as disk:
        disk.fill()
        engine = EngineProcess(tmp_path / "data")
        with (
            pytest.raises(RuntimeError, match=r"ended with 1 .*\n.*No space left on device"),
            engine,
        ):
            pass
        disk.free()
        with engine:
            assert engine.stop() == 0


@contextmanager
def no_space_left(target: Target, means: str) -> Iterator[None]:
    if means == "limit on files":
        with file_size_limit(target.engine_pid, read_wal_bytes(target)):
            yield
        return
    disk: SmallDisk = target.facilities["small_disk"]
    disk.fill()
    try:
        yield
    finally:
        disk.free()


def wait_until(holds: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.02)
