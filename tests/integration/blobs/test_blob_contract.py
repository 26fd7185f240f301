"""What holds of every blob store, on whatever driver."""

import hashlib
import random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.backends.blobs import (
    BlobChangedError,
    BlobExistsError,
    BlobPreconditionError,
    BlobStore,
)
from engine.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError

MIB = 2**20


def content_of(size_bytes, seed=0):
    return random.Random(seed).randbytes(size_bytes)


async def chunks_of(content, sizes):
    start = 0
    while start < len(content):
        await trio.lowlevel.checkpoint()
        size = sizes[start % len(sizes)]
        yield content[start : start + size]
        start += size


async def read_all(store, name):
    async with store.get(name) as blob:
        blocks = [block async for block in blob]
        assert [block async for block in blob] == []
    return b"".join(blocks), blocks


@pytest.mark.parametrize(("blocks", "extra"), [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (2, 0)])
async def test_what_was_put_is_what_is_read(store, driver, blocks, extra):
    size_bytes = blocks * driver.block_bytes + extra
    content = content_of(size_bytes)
    put = await store.put("models/churn/1.skops", content)
    assert put.name == "models/churn/1.skops"
    assert put.size_bytes == size_bytes
    assert put.sha256 == hashlib.sha256(content).hexdigest()
    found, blocks = await read_all(store, put.name)
    assert found == content
    assert all(0 < len(block) <= driver.block_bytes for block in blocks)
    assert await store.head(put.name) == put
    assert await store.get_bytes(put.name, size_bytes) == content


async def test_chunks_of_any_size_are_put(store):
    content = content_of(9 * MIB)
    sizes = (1, 70_000, 3, 5 * MIB, 0 + 17, 300_000)
    put = await store.put("a", chunks_of(content, sizes))
    assert put.sha256 == hashlib.sha256(content).hexdigest()
    assert await store.get_bytes("a", len(content)) == content


async def test_chunks_may_be_empty(store):
    async def chunks():
        for chunk in (b"", b"ab", b"", b"c", b""):
            await trio.lowlevel.checkpoint()
            yield chunk

    await store.put("a", chunks())
    assert await store.get_bytes("a", 3) == b"abc"


async def test_put_replaces_and_gives_a_new_etag(store):
    first = await store.put("a", b"same")
    second = await store.put("a", b"same")
    third = await store.put("a", b"other")
    assert len({first.etag, second.etag, third.etag}) == 3
    assert await store.head("a") == third
    assert await store.get_bytes("a", 5) == b"other"


@pytest.mark.parametrize("size_bytes", [4, 5 * MIB])
async def test_put_if_absent_never_replaces(store, size_bytes):
    first = await store.put("a", content_of(size_bytes), if_absent=True)
    with pytest.raises(BlobExistsError, match="'a' exists"):
        await store.put("a", content_of(size_bytes, seed=1), if_absent=True)
    assert await store.head("a") == first
    await store.delete("a")
    await store.put("a", b"again", if_absent=True)


@pytest.mark.parametrize("size_bytes", [4, 5 * MIB])
async def test_put_if_etag_replaces_only_the_blob_of_that_etag(store, size_bytes):
    first = await store.put("a", b"1")
    second = await store.put("a", content_of(size_bytes), if_etag=first.etag)
    with pytest.raises(BlobPreconditionError, match="another writer"):
        await store.put("a", content_of(size_bytes, seed=1), if_etag=first.etag)
    assert await store.head("a") == second
    await store.delete("a")
    with pytest.raises(BlobPreconditionError):
        await store.put("a", content_of(size_bytes, seed=2), if_etag=second.etag)
    with pytest.raises(NotFoundError):
        await store.head("a")


async def test_both_conditions_at_once_are_refused(store):
    with pytest.raises(ValueError, match="both"):
        await store.put("a", b"", if_absent=True, if_etag="x")


async def test_what_is_not_there_is_not_found(store):
    with pytest.raises(NotFoundError, match="no blob named 'models/none'"):
        await store.head("models/none")
    with pytest.raises(NotFoundError):
        await store.get_bytes("models/none", 1)
    with pytest.raises(NotFoundError):
        async with store.get("models/none"):
            pytest.fail("opened")


async def test_delete_can_be_repeated(store):
    await store.put("a", b"1")
    await store.delete("a")
    await store.delete("a")
    with pytest.raises(NotFoundError):
        await store.head("a")


async def test_whole_content_beyond_the_bound_is_refused(store):
    await store.put("a", b"12345")
    with pytest.raises(ResourceExhaustedError, match="5 bytes, more than the 4"):
        await store.get_bytes("a", 4)


async def test_listing_is_ordered_and_goes_on_over_pages(store):
    names = ["a", "a-b", "a.b", "a/b", "a/b/c", "ab", "b/a", "b0", "b_a"]
    infos = {name: await store.put(name, name.encode()) for name in reversed(names)}
    assert [blob async for blob in store.list_blobs()] == [infos[n] for n in sorted(names)]
    for prefix in ("a", "a/", "a/b", "b", "none", "a/b/c"):
        listed = [blob.name async for blob in store.list_blobs(prefix)]
        assert listed == sorted(n for n in names if n.startswith(prefix))


async def test_a_listing_need_not_be_read_to_its_end(store):
    for name in "abcdefgh":
        await store.put(name, b"")
    async for blob in store.list_blobs():
        assert blob.name == "a"
        break


async def test_names_may_continue_each_other(store):
    for name in ("a", "a/b", "a/b/c", "a.b", "a-b"):
        await store.put(name, name.encode())
    for name in ("a", "a/b", "a/b/c", "a.b", "a-b"):
        assert await store.get_bytes(name, 10) == name.encode()
    await store.delete("a")
    assert await store.get_bytes("a/b", 10) == b"a/b"


async def test_names_that_not_every_store_can_have_are_refused(store):
    for operation in (store.head, store.delete, lambda n: store.put(n, b"")):
        with pytest.raises(InvalidArgumentError, match="allowed: 1 to 200 lower-case"):
            await operation("../a")


async def test_the_longest_name_can_be_used(store):
    name = "/".join(["0123456789abcde"] * 12) + "/12345678"
    assert len(name) == 200
    await store.put(name, b"1")
    assert [blob.name async for blob in store.list_blobs()] == [name]


@pytest.mark.parametrize("fails_after_bytes", [0, 10, 5 * MIB])
async def test_content_that_fails_leaves_the_old_blob(store, fails_after_bytes):
    async def chunks():
        await trio.lowlevel.checkpoint()
        yield b"x" * fails_after_bytes
        raise OSError("the source broke")

    old = await store.put("a", b"old")
    with pytest.raises(OSError, match="the source broke"):
        await store.put("a", chunks())
    with pytest.raises(OSError, match="the source broke"):
        await store.put("b", chunks())
    assert [blob async for blob in store.list_blobs()] == [old]
    assert await store.get_bytes("a", 3) == b"old"


async def test_a_put_that_is_cancelled_on_its_way_leaves_the_old_blob(store):
    half = trio.Event()

    async def chunks():
        yield content_of(6 * MIB)
        half.set()
        await trio.sleep_forever()

    old = await store.put("a", b"old")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.put, "a", chunks())
        await half.wait()
        assert await store.head("a") == old
        nursery.cancel_scope.cancel()
    assert await store.head("a") == old


async def test_of_many_puts_if_absent_one_wins(store):
    won, lost = [], []

    async def put(number):
        try:
            won.append(await store.put("a", str(number).encode(), if_absent=True))
        except BlobExistsError:
            lost.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(put, number)
    assert len(won) == 1
    assert len(lost) == 7
    assert await store.head("a") == won[0]


async def test_no_increment_by_etag_is_lost(store):
    await store.put("count", b"0")

    async def increment():
        while True:
            async with store.get("count") as blob:
                count = int(b"".join([block async for block in blob]))
            try:
                await store.put("count", str(count + 1).encode(), if_etag=blob.info.etag)
            except BlobPreconditionError:
                continue
            return

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(increment)
    assert await store.get_bytes("count", 1) == b"5"


async def test_of_large_puts_at_once_each_is_whole_or_refused(store):
    contents = [content_of(9 * MIB, seed) for seed in range(3)]

    async def put(content):
        try:
            await store.put("a", content)
        except BlobChangedError:
            return

    async with trio.open_nursery() as nursery:
        for content in contents:
            nursery.start_soon(put, content)
    assert await store.get_bytes("a", 9 * MIB) in contents


@pytest.mark.parametrize("change", ["replace", "delete"])
async def test_a_reader_sees_one_version_or_is_told(store, driver, change):
    content = content_of(3 * driver.block_bytes)
    await store.put("a", content)
    read = b""
    try:
        async with store.get("a") as blob:
            async for block in blob:
                if not read:
                    if change == "replace":
                        await store.put("a", content_of(3 * driver.block_bytes, seed=1))
                    else:
                        await store.delete("a")
                read += block
    except BlobChangedError:
        assert read == content[: len(read)]
    else:
        assert read == content


NAMES = st.sampled_from(["a", "a/b", "a.b", "b"])
CONTENTS = st.binary(max_size=40)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, CONTENTS),
        st.tuples(st.just("put_if_absent"), NAMES, CONTENTS),
        st.tuples(st.just("put_if_current"), NAMES, CONTENTS),
        st.tuples(st.just("put_if_stale"), NAMES, CONTENTS),
        st.tuples(st.just("get"), NAMES),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("list"), st.sampled_from(["", "a", "a/", "c"])),
    ),
    max_size=25,
)


class Model:
    """A dict that behaves as a store should, beside a store that has to."""

    def __init__(self, store):
        self.store = store
        self.contents = {}
        self.infos = {}
        self.stale = {}

    async def apply(self, kind, name, content=b""):
        await getattr(self, f"_{kind}")(name, content)

    async def _put(self, name, content, **condition):
        info = await self.store.put(name, content, **condition)
        if name in self.infos:
            self.stale[name] = self.infos[name]
        self.contents[name], self.infos[name] = content, info
        assert (info.size_bytes, info.sha256) == (
            len(content),
            hashlib.sha256(content).hexdigest(),
        )

    async def _put_if_absent(self, name, content):
        if name in self.contents:
            with pytest.raises(BlobExistsError):
                await self.store.put(name, content, if_absent=True)
        else:
            await self._put(name, content, if_absent=True)

    async def _put_if_current(self, name, content):
        if name in self.contents:
            await self._put(name, content, if_etag=self.infos[name].etag)

    async def _put_if_stale(self, name, content):
        if name in self.stale:
            with pytest.raises(BlobPreconditionError):
                await self.store.put(name, content, if_etag=self.stale[name].etag)

    async def _get(self, name, _):
        if name not in self.contents:
            with pytest.raises(NotFoundError):
                await self.store.get_bytes(name, 100)
        else:
            assert await self.store.get_bytes(name, 100) == self.contents[name]
            assert await self.store.head(name) == self.infos[name]

    async def _delete(self, name, _):
        await self.store.delete(name)
        if name in self.contents:
            del self.contents[name]
            self.stale[name] = self.infos.pop(name)

    async def _list(self, prefix, _):
        listed = [blob async for blob in self.store.list_blobs(prefix)]
        assert listed == [self.infos[n] for n in sorted(self.infos) if n.startswith(prefix)]


@pytest.mark.parametrize(("kind", "examples"), [("folder", 40), ("azure", 12)])
def test_any_operations_agree_with_a_dict(open_driver, kind, examples):
    async def run(operations):
        with open_driver(kind) as driver:
            model = Model(BlobStore(driver, page_blobs=2))
            for operation in operations:
                await model.apply(*operation)
            await model.apply("list", "")

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(OPERATIONS)
    def law(operations):
        trio.run(run, operations)

    law()
