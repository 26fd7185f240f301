"""What becomes of blobs when Azure, the way there or the credentials fail."""

import json
import logging
import subprocess
import sys
import time
import traceback
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from azure.storage.blob import ContainerClient

from engine.backends.blobs import (
    BlobAccessError,
    BlobCorruptError,
    BlobExistsError,
    BlobStore,
    open_blobs,
)
from engine.backends.blobs.azure_opening import open_azure
from engine.backends.supervise import Supervision
from engine.config import PathsConfig
from engine.errors import BackendUnavailableError, FailedPreconditionError, NotFoundError
from engine.health import HealthBoard
from engine.metrics import BLOB_RETRIES
from tests.faults.proxy import Way, open_proxy
from tests.support.azurite import KEY, Azurite, blobs_config
from tests.support.engine_process import ROOT
from tests.support.http_proxy import GOOD, Exchange, run_http_proxy

BLOCK = 4 * 2**20
QUICK = Supervision(probe_interval_s=0.05)
SECRET_WORDS = (KEY, "sig=", "SharedAccessSignature")


@pytest.fixture
def content():
    return bytes(range(256)) * (10 * 2**12)  # 10 MiB: three blocks


@pytest.fixture
def proxy(azurite):
    with run_http_proxy(azurite.port) as opened:
        yield opened


@pytest.fixture
def open_store(new_container):
    """Open a store, and its container through a way that works."""

    @asynccontextmanager
    async def open_it(connection_string, *, timeout_s=10.0, **settings):
        settings.setdefault("container", new_container())
        config = blobs_config(connection_string, timeout_s=timeout_s, **settings)
        with open_azure(config) as azure:
            yield BlobStore(azure.driver)

    return open_it


@pytest.fixture
def own_azurite(tmp_path):
    """A server of the test's own, which it starts and may kill."""
    server = Azurite(tmp_path)
    try:
        yield server
    finally:
        server.kill()


def assert_tells_no_secret(error, caplog):
    told = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    seen = error
    while seen is not None:
        told += repr(seen)
        seen = seen.__cause__ or seen.__context__
    assert not [word for word in SECRET_WORDS if word in told]


def retries():
    return BLOB_RETRIES._value.get()


@pytest.mark.parametrize("status", [429, 503])
async def test_throttling_is_waited_out(azurite, proxy, open_store, status):
    async with open_store(azurite.connection_string(port=proxy.port)) as store:
        await store.put("a", b"1")
        proxy.script.append(Exchange(status, {"Retry-After": "1"}))
        before = retries()
        started = time.monotonic()
        assert await store.get_bytes("a", 1) == b"1"
        assert time.monotonic() - started >= 1
        assert retries() - before == 1


async def test_throttling_for_longer_than_there_is_time_is_told_at_once(azurite, proxy, open_store):
    async with open_store(azurite.connection_string(port=proxy.port)) as store:
        proxy.script.append(Exchange(503, {"Retry-After": "60", "x-ms-error-code": "ServerBusy"}))
        started = time.monotonic()
        with pytest.raises(BackendUnavailableError, match="503 ServerBusy") as caught:
            await store.head("a")
        assert caught.value.retry_after_s == 60
        assert time.monotonic() - started < 5


async def test_errors_of_the_server_are_repeated(azurite, proxy, open_store, content):
    async with open_store(azurite.connection_string(port=proxy.port)) as store:
        await store.put("first", b"")

        def fail_every_other(method, path, seen=[]):  # noqa: B006 - counts
            seen.append(path)
            return Exchange(500) if len(seen) % 2 else GOOD

        proxy.choose = fail_every_other
        await store.put("a", content)
        assert await store.get_bytes("a", len(content)) == content
        assert [blob.name async for blob in store.list_blobs()] == ["a", "first"]


@pytest.mark.parametrize("size_bytes", [3, 2 * BLOCK + 5])
@pytest.mark.parametrize("condition", ["none", "absent", "etag"])
async def test_a_put_whose_answer_was_lost_is_not_taken_for_a_conflict(
    azurite, proxy, open_store, size_bytes, condition
):
    async with open_store(azurite.connection_string(port=proxy.port)) as store:
        options = {}
        if condition == "etag":
            options = {"if_etag": (await store.put("a", b"old")).etag}
        elif condition == "absent":
            await store.put("other", b"")
            options = {"if_absent": True}
        lost = []

        def lose_the_commit(method, path):
            commits = method == "PUT" and "/a" in path and "comp=block&" not in path + "&"
            if not commits or lost:
                return GOOD
            lost.append(path)
            return Exchange(lose_answer=True)

        proxy.choose = lose_the_commit
        info = await store.put("a", b"x" * size_bytes, **options)
        assert lost
        assert await store.head("a") == info
        with pytest.raises(BlobExistsError):
            await store.put("a", b"x", if_absent=True)


async def test_downloads_that_are_cut_off_go_on(azurite, proxy, open_store, content):
    async with open_store(azurite.connection_string(port=proxy.port)) as store:
        await store.put("a", content)
        async with store.get("a") as blob:
            found = b""
            async for block in blob:
                found += block
                proxy.script.append(Exchange(cut_answer_at=100_000))
        assert found == content


async def test_content_changed_on_its_way_here_is_refused(azurite, proxy, open_store, content):
    async with open_store(azurite.connection_string(port=proxy.port)) as store:
        await store.put("a", content)
        seen = []

        async def read():
            async with store.get("a") as blob:
                async for block in blob:
                    seen.append(block)
                    proxy.script.append(Exchange(change_answer=lambda body: b"?" + body[1:]))

        with pytest.raises(BlobCorruptError, match="'a' is corrupt: its sha256 is"):
            await read()
        assert len(b"".join(seen)) < len(content)


@pytest.mark.parametrize("size_bytes", [3, 2 * BLOCK + 5])
async def test_content_changed_on_its_way_there_is_not_stored(
    azurite, proxy, open_store, size_bytes
):
    async with open_store(azurite.connection_string(port=proxy.port)) as store:
        old = await store.put("a", b"old")
        proxy.script.append(Exchange(change_request=lambda body: b"?" + body[1:]))
        with pytest.raises(BackendUnavailableError):
            await store.put("a", b"x" * size_bytes)
        assert await store.head("a") == old
        # Azurite has a code of its own for it; Azure's leads to another attempt.
        proxy.script.append(Exchange(400, {"x-ms-error-code": "Md5Mismatch"}))
        await store.put("a", b"x" * size_bytes)
        assert await store.get_bytes("a", size_bytes) == b"x" * size_bytes


async def test_content_replaced_behind_our_back_is_refused(azurite, open_store, new_container):
    container = new_container()
    async with open_store(azurite.connection_string(), container=container) as store:
        info = await store.put("a", b"right")
        await store.put("b", b"")
        with ContainerClient.from_connection_string(
            azurite.connection_string(), container
        ) as client:
            client.upload_blob("a", b"wrong", overwrite=True, metadata={"sha256": info.sha256})
            client.upload_blob("foreign", b"1")
        with pytest.raises(BlobCorruptError, match="sha256"):
            await store.get_bytes("a", 5)
        with pytest.raises(BlobCorruptError, match="written by others"):
            await store.head("foreign")
        assert [blob.name async for blob in store.list_blobs()] == ["a", "b"]


async def test_a_server_that_is_no_blob_storage_is_named(azurite, proxy, open_store, caplog):
    def answer(*_):
        return Exchange(200, {"Content-Type": "text/html"}, b"<html>log in here</html>")

    connection_string = azurite.connection_string(port=proxy.port)
    async with open_store(connection_string, timeout_s=0.5) as store:
        proxy.choose = answer
        for operation in (store.head("a"), store.get_bytes("a", 1)):
            with pytest.raises((BackendUnavailableError, BlobCorruptError)) as caught:
                await operation
            assert_tells_no_secret(caught.value, caplog)


async def test_a_silent_server_costs_no_more_than_the_time_limit(azurite, open_store):
    async with open_proxy(azurite.port, seed=1) as proxy:
        connection_string = azurite.connection_string(port=proxy.port)
        async with open_store(connection_string, timeout_s=1.0) as store:
            await store.put("a", b"1")
            with proxy.under(held=frozenset(Way)):
                started = time.monotonic()
                with pytest.raises(BackendUnavailableError, match=r"no answer within"):
                    await store.get_bytes("a", 1)
                assert time.monotonic() - started < 2
            assert await store.get_bytes("a", 1) == b"1"


async def test_a_cancellation_does_not_wait_for_a_silent_server(azurite, open_store):
    async with open_proxy(azurite.port, seed=1) as proxy:
        connection_string = azurite.connection_string(port=proxy.port)
        async with open_store(connection_string, timeout_s=2.0) as store:
            await store.put("a", b"1")
            with proxy.under(held=frozenset(Way)):
                started = time.monotonic()
                with trio.move_on_after(0.1):
                    await store.put("a", b"2")
                assert time.monotonic() - started < 1
            assert await store.get_bytes("a", 1) in {b"1", b"2"}


@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_connections_that_end_in_the_middle_are_made_again(azurite, open_store, content, how):
    async with (
        open_proxy(azurite.port, seed=1) as proxy,
        open_store(azurite.connection_string(port=proxy.port)) as store,
    ):

        async def chunks():
            for start in range(0, len(content), 2**20):
                getattr(proxy, how)()
                yield content[start : start + 2**20]

        await store.put("a", chunks())
        found = b""
        async with store.get("a") as blob:
            async for block in blob:
                getattr(proxy, how)()
                found += block
        assert found == content


async def test_a_server_killed_and_restarted_in_the_middle_is_waited_for(
    own_azurite, open_store, content
):
    own_azurite.start()
    async with open_store(own_azurite.connection_string(), timeout_s=30.0) as store:

        async def chunks():
            yield content[: BLOCK + 1]
            own_azurite.kill()
            yield content[BLOCK + 1 :]

        async with trio.open_nursery() as nursery:
            before = retries()
            nursery.start_soon(store.put, "a", chunks())
            with trio.fail_after(20):
                while retries() == before:  # noqa: ASYNC110 - a counter has no event
                    await trio.sleep(0.01)
            await trio.to_thread.run_sync(own_azurite.start)
        assert await store.get_bytes("a", len(content)) == content


async def test_the_engine_starts_without_azure_and_recovers_by_itself(
    own_azurite, tmp_path, caplog
):
    health = HealthBoard()
    config = blobs_config(own_azurite.connection_string(), timeout_s=1.0)
    with caplog.at_level(logging.INFO, "engine"):
        async with open_blobs(config, PathsConfig(), health, supervision=QUICK) as blobs:
            part = health.snapshot()["blobs"]
            assert not part.ok
            assert not part.required
            assert "connection refused" in part.detail
            with pytest.raises(BackendUnavailableError, match="blobs is unavailable") as caught:
                await blobs.store.put("a", b"1")
            assert_tells_no_secret(caught.value, caplog)
            await trio.to_thread.run_sync(own_azurite.start)
            with trio.fail_after(10):
                state = await blobs.wait_state_change(blobs.state)
                while not state.up:
                    state = await blobs.wait_state_change(state)
            assert state.detail.startswith("answers at 127.0.0.1:")
            assert health.snapshot()["blobs"].ok
            await blobs.store.put("a", b"1")
    assert not health.snapshot()["blobs"].ok
    assert not [word for word in SECRET_WORDS if word in caplog.text]


REFUSED = {
    "wrong key": lambda server: server.connection_string(key="d3Jvbmc="),
    "key that is no base64": lambda server: server.connection_string(key="wrong!"),
    "expired token": lambda server: server.sas_string("rwdlac", valid_for_s=-60),
    "token to read only": lambda server: server.sas_string("r"),
}


@pytest.mark.parametrize("credentials", REFUSED)
async def test_refused_credentials_are_named_but_not_shown(
    azurite, open_store, caplog, credentials
):
    connection_string = REFUSED[credentials](azurite)
    async with open_store(connection_string, timeout_s=5.0) as store:
        with caplog.at_level(logging.DEBUG, "engine"):
            started = time.monotonic()
            with pytest.raises(BlobAccessError, match=r"credentials|sign") as caught:
                await store.put("a", b"1")
            assert time.monotonic() - started < 3, "refused credentials are not tried again"
    assert_tells_no_secret(caught.value, caplog)
    assert connection_string not in repr(caught.value)


async def test_a_token_with_permissions_serves(azurite, open_store, new_container):
    container = new_container()
    async with open_store(azurite.sas_string("rwdlac"), container=container) as store:
        await store.put("a", b"1", if_absent=True)
        assert await store.get_bytes("a", 1) == b"1"
        assert [blob.name async for blob in store.list_blobs()] == ["a"]
        await store.delete("a")


@pytest.mark.parametrize("why", ["setting", "token"])
async def test_a_container_that_is_missing_and_may_not_be_made_is_named(azurite, open_store, why):
    if why == "setting":
        opened = open_store(azurite.connection_string(), create_container=False)
    else:
        opened = open_store(azurite.sas_string("rl"))
    async with opened as store:
        with pytest.raises(BlobAccessError, match=r"there is no container at .*/test-"):
            await store.head("a")
        with pytest.raises(BlobAccessError, match=r"blobs\.create_container"):
            await anext(store.list_blobs())


async def test_a_container_that_vanishes_is_made_again(azurite, open_store, new_container):
    container = new_container()
    async with open_store(azurite.connection_string(), container=container) as store:
        await store.put("a", b"1")
        with ContainerClient.from_connection_string(
            azurite.connection_string(), container
        ) as client:
            client.delete_container()
        with pytest.raises(NotFoundError):
            await store.head("a")
        await store.put("a", b"2")


@pytest.mark.parametrize("text", ["nonsense", "AccountName=a;AccountKey", "BlobEndpoint=;;="])
async def test_a_connection_string_that_is_none_is_refused_without_showing_it(text, caplog):
    with pytest.raises(FailedPreconditionError, match=r"blobs\.connection_string") as caught:
        async with open_blobs(blobs_config(text), PathsConfig(), HealthBoard()):
            pytest.fail("opened")
    assert text not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


SCRIPT = """
import logging, sys, trio
from engine.backends.blobs import open_blobs
from engine.config import BlobsConfig, LogConfig, PathsConfig
from engine.config.secrets import Secret
from engine.errors import TrellisError
from engine.health import HealthBoard
from engine.logs import configure_logging

assert not [name for name in sys.modules if name.split(".")[0] == "azure"], "costs memory"

async def main():
    config = BlobsConfig(connection_string=Secret(sys.argv[1]), timeout_s=0.5)
    async with open_blobs(config, PathsConfig(), HealthBoard()) as blobs:
        try:
            await blobs.store.put("a", b"1")
        except TrellisError:
            logging.getLogger("engine.test").exception("put failed")
        print(repr(blobs), repr(config), repr(blobs.store))

configure_logging(LogConfig(format="json", level="DEBUG"))
trio.run(main)
"""


@pytest.mark.parametrize("server", ["there", "away"])
def test_logs_of_a_whole_process_at_debug_hold_no_secret(own_port, azurite, server):
    port = azurite.port if server == "there" else own_port
    connection_string = REFUSED["expired token"](Azurite(Path(), port=port))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, connection_string],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = done.stdout + done.stderr
    assert "put failed" in told
    assert all(json.loads(line) for line in done.stderr.splitlines())
    secrets = (*SECRET_WORDS, connection_string)
    assert not [secret for secret in secrets if secret in told]


@pytest.fixture
def own_port():
    """A port on which nobody listens."""
    return Azurite(Path()).port
