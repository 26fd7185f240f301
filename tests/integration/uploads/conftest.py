"""Uploads over a real data file, real jobs and a real Redis."""

import contextlib

import pytest

from engine.config import UploadSpec
from engine.store import StoreSettings, open_store
from engine.uploads import make_upload_rules, open_uploads
from tests.integration.jobs.world import World
from tests.integration.uploads.desk import MAX_BYTES, UploadDesk
from tests.support.redis_servers import running_server

DATASETS = {
    "profiles": UploadSpec(
        entity="user",
        entity_key="user_id",
        time_column="updated_at",
        columns={"plan": "string", "age": "int64", "score": "double"},
    )
}


@pytest.fixture(scope="module")
def server():
    with running_server("redis6") as server:
        yield server


@pytest.fixture
async def store(tmp_path):
    async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
        yield store


@pytest.fixture
def open_desk(store, server, tmp_path):
    """Opens what an engine has, over one data file and one server: again after it was killed."""
    with contextlib.closing(server.client()) as client:
        client.flushall()
        rules = make_upload_rules(store.reader, tmp_path)
        world = World(store, server, client, hooks=rules.hooks)

        @contextlib.asynccontextmanager
        async def open_one(*, until_killed=False):
            async with world.open_until_killed() if until_killed else world.open() as jobs:
                # Whatever the queue's building does to uploads, it does before they are open.
                await jobs.wait_queue_open()
                async with open_uploads(
                    jobs, rules, store.writer, store.reader, DATASETS, max_bytes=MAX_BYTES
                ) as uploads:
                    yield UploadDesk(store, jobs, uploads, DATASETS)

        yield open_one


@pytest.fixture
async def desk(open_desk):
    async with open_desk() as desk:
        yield desk
