"""Servers for the tests of the queue."""

import contextlib
import itertools

import pytest
import redis

from engine.jobs.lease_queue import LeaseQueue
from engine.jobs.queue_keys import QueueKeys
from engine.store import StoreSettings, open_store
from tests.integration.jobs.world import NoopHooks, UnreliableClient, World
from tests.support.redis_servers import KINDS, running_cluster, running_server

_numbers = itertools.count()


@pytest.fixture(scope="session", params=[*KINDS, *(f"{kind}-cluster" for kind in KINDS)])
def any_client(request):
    """A client of every kind of server that can be had here, alone and as a cluster."""
    kind, _, cluster = request.param.partition("-")
    if cluster:
        with (
            running_cluster(kind) as ports,
            contextlib.closing(redis.RedisCluster(host="127.0.0.1", port=ports[0])) as client,
        ):
            yield client
    else:
        with running_server(kind) as server, contextlib.closing(server.client()) as client:
            yield client


@pytest.fixture(scope="session")
def shared_server():
    with running_server("redis6") as server:
        yield server


def open_queue(client, **options):
    """Return a queue of its own on a shared server."""
    queue = LeaseQueue(lambda: client, QueueKeys(f"test:{next(_numbers)}"))
    queue.adopt("first")
    queue.add_pools(options.get("pools", ("default", "heavy")))
    return queue


@pytest.fixture
def queue(any_client):
    """A fresh queue on every kind of server."""
    return open_queue(any_client)


@pytest.fixture
async def world(tmp_path):
    """A data file and a server of their own."""
    with running_server("redis6") as server:
        client = UnreliableClient(server)
        with contextlib.closing(client):
            async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
                yield World(store, server, client)


@pytest.fixture
def hooks():
    return NoopHooks()


@pytest.fixture
async def jobs(world, hooks):
    world.hooks = hooks.by_type()
    async with world.open() as jobs:
        await jobs.wait_queue_open()
        yield jobs
