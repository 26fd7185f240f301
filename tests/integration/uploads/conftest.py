"""Uploads over a real data file, real jobs and a real Redis."""

import contextlib

import pytest

from engine.config import UploadSpec
from engine.store import StoreSettings, open_store
from engine.uploads import open_uploads
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
async def desk(tmp_path, server):
    with contextlib.closing(server.client()) as client:
        client.flushall()
        async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
            world = World(store, server, client)
            async with (
                world.open() as jobs,
                open_uploads(
                    jobs, store.writer, store.reader, DATASETS, max_bytes=MAX_BYTES
                ) as uploads,
            ):
                await jobs.wait_queue_open()
                yield UploadDesk(store, jobs, uploads, DATASETS)
