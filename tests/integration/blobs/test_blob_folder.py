"""What holds of the folder alone: what is on the disk, and after being killed in the middle."""

import os
import random
import signal
import stat
import subprocess
import sys
import time

import pytest
import trio

from engine.backends.blobs import BlobCorruptError, BlobStore, open_blobs
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.footer import FOOTER_BYTES
from engine.backends.blobs.local_folder import FolderDriver
from engine.backends.supervise import Supervision
from engine.config import BlobsConfig, PathsConfig
from engine.errors import BackendUnavailableError, FailedPreconditionError
from engine.health import HealthBoard
from tests.support.engine_process import ROOT

QUICK = Supervision(probe_interval_s=0.02)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "blobs"


@pytest.fixture
def files(folder):
    return open_blob_files(folder)


@pytest.fixture
def store(files):
    return BlobStore(FolderDriver(files, 10.0))


def open_folder(folder, health=None):
    paths = PathsConfig(blobs=folder)
    return open_blobs(BlobsConfig(), paths, health or HealthBoard(), supervision=QUICK)


async def test_files_and_folders_are_private_and_begin_with_the_content(store, folder):
    await store.put("models/a.skops", b"content")
    path = folder / "objects" / "models+a.skops"
    assert path.read_bytes().startswith(b"content\ntrellis-blob 1 ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for made in (folder / "objects", folder / "incoming"):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize("position", [0, 2**20, 2 * 2**20 + 4])
async def test_a_changed_byte_is_found_before_the_end_is_handed_out(store, files, position):
    size_bytes = 2 * 2**20 + 5
    await store.put("a", b"x" * size_bytes)
    with files.path_of("a").open("r+b") as file:
        file.seek(position)
        file.write(b"y")
    with pytest.raises(BlobCorruptError, match="that of what was written differs"):
        await store.get_bytes("a", size_bytes)


@pytest.mark.parametrize("kept_bytes", [0, 3, FOOTER_BYTES, 100 + FOOTER_BYTES - 1])
async def test_a_file_cut_off_is_found_at_opening_and_can_be_replaced(store, files, kept_bytes):
    await store.put("a", b"x" * 100)
    os.truncate(files.path_of("a"), kept_bytes)
    for operation in (store.head("a"), store.get_bytes("a", 100)):
        with pytest.raises(BlobCorruptError, match=r"footer|bytes of content"):
            await operation
    assert [blob async for blob in store.list_blobs()] == []
    await store.put("a", b"new")
    assert await store.get_bytes("a", 3) == b"new"


async def test_foreign_files_are_left_out_of_listings(store, files):
    await store.put("a", b"1")
    for name in ("README", ".hidden", "notes.txt", "b+"):
        files.objects.joinpath(name).write_text("not ours")
    assert [blob.name async for blob in store.list_blobs()] == ["a"]


WRITER = """
import sys, itertools, trio
from pathlib import Path
from engine.backends.blobs import open_blobs
from engine.config import BlobsConfig, PathsConfig
from engine.health import HealthBoard

async def main():
    paths = PathsConfig(blobs=Path(sys.argv[1]))
    async with open_blobs(BlobsConfig(), paths, HealthBoard()) as blobs:
        for number in itertools.count():
            mark = number % 256
            content = bytes([mark]) * (300_000 + mark % 7)
            await blobs.store.put("same", content)
            info = await blobs.store.put(f"new/{number}", content, if_absent=True)
            if number % 3 == 2:
                await blobs.store.delete(f"new/{number - 1}")
            print(number, flush=True)

trio.run(main)
"""


def run_writer_and_kill_it(folder, after_s):
    """Return the number of the last round that it had acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"0\n"
        time.sleep(after_s)  # the moment is what is varied
    finally:
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
    return int((said.split(b"\n")[:-1] or [b"0"])[-1])


async def test_a_writer_killed_at_any_moment_leaves_whole_blobs_and_loses_none(folder):
    rng = random.Random(5)
    for _ in range(3):
        finished = await trio.to_thread.run_sync(
            run_writer_and_kill_it, folder, rng.uniform(0, 0.15)
        )
        async with open_folder(folder) as blobs:
            assert not [*folder.joinpath("incoming").iterdir()]
            found = [blob async for blob in blobs.store.list_blobs()]
            contents = {b.name: await blobs.store.get_bytes(b.name, 400_000) for b in found}
            for content in contents.values():
                assert len(content) == 300_000 + content[0] % 7
                assert set(content) == {content[0]}
            assert len(found) == len([*folder.joinpath("objects").iterdir()])
            assert contents["same"][0] in {finished % 256, (finished + 1) % 256}
            # Every third is deleted again, perhaps in the round that was not acknowledged.
            kept = {f"new/{n}" for n in range(finished + 1) if n % 3 != 1}
            assert kept <= contents.keys()
            for name in contents:
                await blobs.store.delete(name)


async def test_a_second_engine_is_refused(folder):
    async with open_folder(folder):
        with pytest.raises(FailedPreconditionError, match="another engine"):
            async with open_folder(folder):
                pytest.fail("opened")
    async with open_folder(folder) as blobs:
        assert blobs.state.up


async def test_a_folder_that_cannot_be_is_refused_at_the_start(tmp_path):
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(FailedPreconditionError, match="file"):
        async with open_folder(tmp_path / "file"):
            pytest.fail("opened")


async def test_a_folder_that_goes_away_is_told_and_used_again_when_it_is_back(folder, tmp_path):
    health = HealthBoard()
    async with open_folder(folder, health) as blobs:
        await blobs.store.put("a", b"1")
        assert health.snapshot()["blobs"].ok
        elsewhere = tmp_path / "elsewhere"
        folder.rename(elsewhere)
        with trio.fail_after(5):
            assert not (await blobs.wait_state_change(blobs.state)).up
        assert "no such file" in health.snapshot()["blobs"].detail
        with pytest.raises(BackendUnavailableError, match="no such file"):
            await blobs.store.put("b", b"1")
        elsewhere.rename(folder)
        with trio.fail_after(5):
            assert (await blobs.wait_state_change(blobs.state)).up
        assert await blobs.store.get_bytes("a", 1) == b"1"


async def test_a_disk_that_hangs_costs_no_more_than_the_time_limit(files):
    store = BlobStore(FolderDriver(files, 0.2))
    stuck = files.path_of("stuck")
    os.mkfifo(stuck)  # opening it for reading waits, as a dead network disk does
    with pytest.raises(BackendUnavailableError, match=r"not answered within 0\.2 s"):
        await store.head("stuck")
    await store.put("a", b"1")
    os.close(os.open(stuck, os.O_WRONLY))  # lets the thread go


async def test_a_put_that_was_given_up_does_not_happen_later(files):
    patient = BlobStore(FolderDriver(files, 10.0))
    old = await patient.put("a", b"old")
    # The lock is held where a disk may hang.
    with files.changing, pytest.raises(BackendUnavailableError):
        await BlobStore(FolderDriver(files, 0.2)).put("a", b"new")
    with trio.fail_after(5):
        while [*files.incoming.iterdir()]:  # noqa: ASYNC110 - the thread left behind ends by itself
            await trio.sleep(0.01)
    assert await patient.head("a") == old


FULL = """
import resource, sys, trio
from pathlib import Path
from engine.backends.blobs import BlobStore
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.errors import ResourceExhaustedError

async def main():
    store = BlobStore(FolderDriver(open_blob_files(Path(sys.argv[1])), 10.0))
    old = await store.put("a", b"old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    try:
        await store.put("a", b"x" * 2**22)
    except ResourceExhaustedError as error:
        print(error)
    assert await store.head("a") == old
    assert not [*Path(sys.argv[1], "incoming").iterdir()]

trio.run(main)
"""


def test_a_disk_without_room_leaves_the_old_blob(folder):
    done = subprocess.run(
        [sys.executable, "-c", FULL, folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "a blob cannot be written: file too large" in done.stdout


async def test_cancelled_operations_leave_no_descriptor_and_no_file(store, files):
    await store.put("a", b"x" * 2**22)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for step in range(40):
        with trio.move_on_after(step * 0.0004):
            await store.put("b", b"y" * 2**21)
        with trio.move_on_after(step * 0.0004):
            await store.get_bytes("a", 2**22)
    with trio.fail_after(10):
        while [*files.incoming.iterdir()] or len(os.listdir("/proc/self/fd")) > before:  # noqa: ASYNC110, PTH208
            await trio.sleep(0.01)
    assert await store.get_bytes("a", 2**22) == b"x" * 2**22
