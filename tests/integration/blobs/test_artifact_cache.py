"""The cache of artifacts: fetched once, verified always, bounded, there when the store is not."""

import hashlib
import os
import signal
import stat
import subprocess
import sys

import pytest
import trio

from engine.backends.blobs import (
    BlobCorruptError,
    BlobStore,
    open_artifact_cache,
)
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.config import BlobsConfig
from engine.errors import (
    BackendUnavailableError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from engine.metrics import ARTIFACT_CACHE_BYTES, BLOB_CORRUPT, BLOB_READ_BYTES
from tests.support.engine_process import ROOT

MIB = 2**20


def sha256_of(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def blob_folder(tmp_path):
    return tmp_path / "blobs"


@pytest.fixture
def store(blob_folder):
    return BlobStore(FolderDriver(open_blob_files(blob_folder), 10.0))


@pytest.fixture
def take_store_away(blob_folder):
    return lambda: blob_folder.rename(blob_folder.with_name("away"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def open_cache(store, folder):
    def open_it(cache_bytes=8 * MIB):
        return open_artifact_cache(store, folder, BlobsConfig(cache_bytes=cache_bytes))

    return open_it


@pytest.fixture
def put(store):
    async def put_it(name, size_bytes=MIB):
        content = name.encode()[:1] * size_bytes
        return (await store.put(name, content)).sha256, content

    return put_it


@pytest.fixture
def fetched_bytes():
    before = BLOB_READ_BYTES._value.get()
    return lambda: BLOB_READ_BYTES._value.get() - before


def cached_files(folder):
    return sorted(folder.joinpath("artifacts").iterdir())


async def test_an_artifact_is_fetched_once_and_served_without_the_store(
    open_cache, put, take_store_away, fetched_bytes
):
    sha256, content = await put("a")
    async with open_cache() as cache:
        assert await cache.get_bytes("a", sha256) == content
        take_store_away()
        assert await cache.get_bytes("a", sha256) == content
        async with cache.open("a", sha256) as artifact:
            assert artifact.path.read_bytes() == content
            assert (artifact.sha256, artifact.size_bytes) == (sha256, MIB)
            assert stat.S_IMODE(artifact.path.stat().st_mode) == 0o600
        with pytest.raises(BackendUnavailableError):
            await cache.get_bytes("b", sha256_of(b"b"))
    assert fetched_bytes() == MIB


async def test_a_restart_keeps_what_is_there(open_cache, put, take_store_away):
    sha256, content = await put("a")
    async with open_cache() as cache:
        await cache.get_bytes("a", sha256)
    take_store_away()
    async with open_cache() as cache:
        assert await cache.get_bytes("a", sha256) == content


async def test_those_who_ask_at_once_share_a_fetch(open_cache, put, fetched_bytes):
    sha256, content = await put("a", 5 * MIB)
    async with open_cache() as cache:

        async def ask():
            assert await cache.get_bytes("a", sha256) == content

        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(ask)
    assert fetched_bytes() == 5 * MIB


async def test_those_who_ask_at_once_share_a_failure(open_cache, put):
    sha256, _ = await put("other")
    async with open_cache() as cache:
        failures = []

        async def ask():
            with pytest.raises(NotFoundError) as caught:
                await cache.get_bytes("a", sha256)
            failures.append(caught.value)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
        assert len(failures) == 3
        assert len({*map(id, failures)}) == 1


async def test_a_fetch_that_is_cancelled_is_taken_over_by_who_waits(open_cache, put, folder):
    sha256, content = await put("a", 6 * MIB)
    async with open_cache() as cache:
        scope = trio.CancelScope()
        got = []

        async def ask(scope=None):
            with scope or trio.CancelScope():
                got.append(await cache.get_bytes("a", sha256))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, scope)
            with trio.fail_after(5):
                while not [*folder.joinpath("incoming").iterdir()]:
                    await trio.lowlevel.checkpoint()
            nursery.start_soon(ask)
            await trio.lowlevel.checkpoint()
            scope.cancel()
        assert got == [content]
    assert not [*folder.joinpath("incoming").iterdir()]
    assert len(cached_files(folder)) == 1


async def test_the_least_recently_used_are_evicted_even_after_a_restart(
    open_cache, put, folder, fetched_bytes
):
    shas = {name: (await put(name, 3 * MIB))[0] for name in "abc"}
    async with open_cache() as cache:
        await cache.get_bytes("a", shas["a"])
        await cache.get_bytes("b", shas["b"])
        await cache.get_bytes("a", shas["a"])
    async with open_cache() as cache:
        await cache.get_bytes("c", shas["c"])
        assert {path.name[:64] for path in cached_files(folder)} == {shas["a"], shas["c"]}
        assert ARTIFACT_CACHE_BYTES._value.get() == 6 * MIB
        before = fetched_bytes()
        await cache.get_bytes("a", shas["a"])
        assert fetched_bytes() == before
    async with open_cache(4 * MIB):
        assert [path.name[:64] for path in cached_files(folder)] == [shas["a"]]


async def test_an_artifact_in_use_is_not_evicted(open_cache, put, folder):
    shas = {name: (await put(name, 3 * MIB))[0] for name in "abc"}
    async with open_cache() as cache:
        async with cache.open("a", shas["a"]) as artifact:
            await cache.get_bytes("b", shas["b"])
            await cache.get_bytes("c", shas["c"])
            assert artifact.path.read_bytes() == b"a" * 3 * MIB
            async with cache.open("c", shas["c"]):
                with pytest.raises(ResourceExhaustedError, match="in use"):
                    await cache.get_bytes("b", shas["b"])
        await cache.get_bytes("b", shas["b"])


async def test_an_artifact_larger_than_the_cache_is_refused(open_cache, put, fetched_bytes):
    small, _ = await put("a", MIB)
    large, _ = await put("b", 9 * MIB)
    async with open_cache() as cache:
        await cache.get_bytes("a", small)
        with pytest.raises(ResourceExhaustedError, match=r"blobs\.cache_bytes"):
            await cache.get_bytes("b", large)
        before = fetched_bytes()
        await cache.get_bytes("a", small)
        assert fetched_bytes() == before


@pytest.mark.parametrize("damage", ["changed", "cut off", "gone"])
@pytest.mark.parametrize("how", ["bytes", "file"])
async def test_a_damaged_file_is_fetched_again(open_cache, put, folder, damage, how):
    sha256, content = await put("a")
    async with open_cache() as cache:
        await cache.get_bytes("a", sha256)
        (path,) = cached_files(folder)
        if damage == "changed":
            path.write_bytes(b"?" + content[1:])
        elif damage == "cut off":
            os.truncate(path, 5)
        else:
            path.unlink()
        before = BLOB_CORRUPT.labels("cache")._value.get()
        if how == "bytes":
            assert await cache.get_bytes("a", sha256) == content
        else:
            async with cache.open("a", sha256) as artifact:
                assert artifact.path.read_bytes() == content
        assert BLOB_CORRUPT.labels("cache")._value.get() == before + 1
        assert len(cached_files(folder)) == 1


async def test_a_swapped_artifact_is_refused(open_cache, put, store, folder):
    sha256, _ = await put("a")
    await store.put("a", b"something else")
    before = BLOB_CORRUPT.labels("store")._value.get()
    async with open_cache() as cache:
        with pytest.raises(BlobCorruptError, match=f"that of the artifact is {sha256}"):
            await cache.get_bytes("a", sha256)
    assert BLOB_CORRUPT.labels("store")._value.get() == before + 1
    assert not cached_files(folder)


async def test_an_artifact_damaged_in_the_store_is_refused(open_cache, put, blob_folder, folder):
    sha256, content = await put("a")
    path = blob_folder / "objects" / "a"
    path.write_bytes(b"?" + path.read_bytes()[1:])
    async with open_cache() as cache:
        with pytest.raises(BlobCorruptError, match="sha256"):
            await cache.get_bytes("a", sha256)
        assert not cached_files(folder)
        assert not [*folder.joinpath("incoming").iterdir()]
        await put("a")
        assert await cache.get_bytes("a", sha256) == content


async def test_a_digest_that_is_none_is_refused(open_cache):
    async with open_cache() as cache:
        with pytest.raises(InvalidArgumentError, match="64 lower-case"):
            await cache.get_bytes("a", "../../etc/passwd")


FETCHER = """
import sys, trio
from pathlib import Path
from engine.backends.blobs import BlobStore, open_artifact_cache
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.config import BlobsConfig

class Stalling(FolderDriver):
    async def open_download(self, name):
        download = await super().open_download(name)
        read = download.read
        async def read_once(offset, size_bytes):
            if offset:
                print("half", flush=True)
                await trio.sleep_forever()
            return await read(offset, size_bytes)
        download.read = read_once
        return download

async def main():
    store = BlobStore(Stalling(open_blob_files(Path(sys.argv[1])), 10.0))
    async with open_artifact_cache(store, Path(sys.argv[2]), BlobsConfig()) as cache:
        await cache.get_bytes("a", sys.argv[3])

trio.run(main)
"""


async def test_a_fetch_killed_in_the_middle_leaves_nothing(open_cache, put, folder, blob_folder):
    sha256, content = await put("a", 5 * MIB)

    def run_and_kill():
        process = subprocess.Popen(
            [sys.executable, "-c", FETCHER, blob_folder, folder, sha256],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout.readline() == b"half\n"
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    await trio.to_thread.run_sync(run_and_kill)
    assert [*folder.joinpath("incoming").iterdir()]
    async with open_cache() as cache:
        assert not [*folder.joinpath("incoming").iterdir()]
        assert not cached_files(folder)
        assert await cache.get_bytes("a", sha256) == content
