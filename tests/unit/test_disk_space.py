"""The room on disks, as it is shown."""

import os
from pathlib import Path

import trio
from prometheus_client import REGISTRY

from engine.disk_space import read_disk_space, run_disk_watch


def shown(gauge: str, folder: str) -> float | None:
    return REGISTRY.get_sample_value(gauge, {"folder": folder})


def test_folder_that_is_yet_to_be_made_has_the_room_of_the_disk_it_will_be_on(
    tmp_path: Path,
) -> None:
    space = read_disk_space(tmp_path / "not" / "yet")
    assert space.size_bytes == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
    assert 0 < space.free_bytes <= space.size_bytes


async def test_gauges_are_set_before_the_watch_has_started(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(run_disk_watch, {"a_test": tmp_path})
        nursery.cancel_scope.cancel()
    free, size = (shown(f"trellis_disk_{what}_bytes", "a_test") for what in ("free", "size"))
    assert free is not None
    assert size is not None
    assert 0 < free <= size


async def test_disk_that_does_not_answer_hides_no_other(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    folders = {"unreadable": file / "below", "other": tmp_path}
    async with trio.open_nursery() as nursery:
        await nursery.start(run_disk_watch, folders)
        nursery.cancel_scope.cancel()
    assert shown("trellis_disk_free_bytes", "unreadable") is None
    assert shown("trellis_disk_free_bytes", "other")
