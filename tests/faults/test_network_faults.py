"""The real program on a bad network: what was acknowledged is done, once, and nothing piles up."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import trio

from proto.trellis.v1 import jobs_pb2
from tests.faults.audit import audit
from tests.faults.feature_answers import wait_until_consumed, wait_until_consuming
from tests.faults.network_faults import (
    AGENT_NAME,
    CLIENT_PORTS,
    CONDITIONS,
    ClientProxies,
    KafkaProxy,
    RedisProxy,
    RemoteAgent,
    answers_lost,
    stalled,
)
from tests.faults.proxy import BOTH_WAYS, PERFECT, Conditions, Proxy
from tests.faults.registry import Target
from tests.faults.small_world import Footprint, client_of, open_world, read_footprint
from tests.faults.steady_load import EngineClient, SteadyLoad
from tests.support.event_source import EventSource

in_thread = trio.to_thread.run_sync

TOPIC = "trellis.events"
TORN_AND_LATE = Conditions(latency_s=0.02, jitter_s=0.02, slice_bytes=5)


async def test_redis_behind_a_bad_network_loses_no_job_and_delays_no_read(tmp_path: Path) -> None:
    rng = random.Random(4)
    async with open_world(tmp_path, [RedisProxy()]) as target:
        proxy: Proxy = target.facilities["redis_proxy"]["redis"]
        with client_of(target) as client, SteadyLoad(client, tmp_path) as load:
            await in_thread(wait_acknowledged, load, 5)
            before = read_footprint(target.engine_pid)
            for condition in CONDITIONS:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(condition, proxy, rng)
                    assert await in_thread(longest_read_s, client, 0.3) < 1.0
            with proxy.under(held=BOTH_WAYS):
                # Longer than the time limit of a call.
                assert await in_thread(longest_read_s, client, 5.5) < 1.0
            await end_well(target, load, before)


async def test_kafka_behind_a_bad_network_loses_and_repeats_no_event(tmp_path: Path) -> None:
    rng = random.Random(5)
    async with open_world(tmp_path, [KafkaProxy()]) as target:
        proxy: Proxy = target.facilities["kafka_proxy"]["kafka"]
        source = EventSource(proxy.address, TOPIC, seed=5, events_per_second=1_000.0)
        with source, client_of(target) as client:
            await in_thread(wait_until_consuming, target.engine)
            before = read_footprint(target.engine_pid)
            for condition in CONDITIONS:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(condition, proxy, rng)
                    assert await in_thread(longest_read_s, client, 0.3) < 1.0
            await in_thread(source.stop)
            sent = source.sent()
            assert len(sent) > 300
            await in_thread(wait_until_consumed, target.engine, len(sent))
            assert_no_growth(target, before)
        assert await in_thread(target.engine.stop) == 0, target.engine.log_tail()
    findings = audit(target.data_dir / "trellis.duckdb", TOPIC, sent, all_consumed=True)
    assert findings.clean, findings


async def test_clients_on_a_bad_network_get_each_job_and_file_done_once(tmp_path: Path) -> None:
    rng = random.Random(6)
    async with open_world(tmp_path, [ClientProxies()]) as target:
        proxies = target.facilities["client_proxies"]
        with client_of(target) as client, SteadyLoad(client, tmp_path) as load:
            await in_thread(wait_acknowledged, load, 5)
            before = read_footprint(target.engine_pid)
            for condition in CONDITIONS:
                async with trio.open_nursery() as nursery:
                    for key in CLIENT_PORTS:
                        nursery.start_soon(condition, proxies[key], rng)
                await in_thread(wait_acknowledged, load, 1)
            assert sum(load.refusals.values()) > 5
            watched = await in_thread(submit_and_watch, client, tmp_path, proxies["service_d"])
            assert watched.state == jobs_pb2.JOB_STATE_SUCCEEDED
            await end_well(target, load, before)


async def test_remote_workers_behind_a_bad_network_run_no_job_twice_at_once(
    tmp_path: Path,
) -> None:
    rng = random.Random(7)
    # All slots of this machine are for another pool: what runs, runs on the other host.
    settings = ("workers.max_python_workers=1", "workers.pools={default: 1}")
    async with open_world(tmp_path, [RemoteAgent(workers=2)], settings=settings) as target:
        proxy: Proxy = target.facilities["remote_agent"]["control"]
        with client_of(target) as client, SteadyLoad(client, tmp_path, job_s=0.5) as load:
            await in_thread(wait_acknowledged, load, 1)
            await in_thread(client.wait_ended, *load.jobs.values())
            before = read_footprint(target.engine_pid)
            for condition in CONDITIONS:
                await condition(proxy, rng)
            with proxy.under(held=BOTH_WAYS):
                # Longer than the lease: jobs go to others, and must not go on here.
                await trio.sleep(4.0)
            await answers_lost(proxy, rng)
            await stalled(proxy, rng)
            await end_well(target, load, before)
            assert AGENT_NAME in (tmp_path / "data.log").read_text()


async def end_well(target: Target, load: SteadyLoad, before: Footprint) -> None:
    """Let the load end, stop the engine, and look for everything that is owed."""
    await in_thread(load.stop)
    await in_thread(load.wait_all_ended, 45.0)
    assert load.acknowledged > 20, load.refusals
    assert_no_growth(target, before)
    assert await in_thread(target.engine.stop) == 0, target.engine.log_tail()
    found = load.find_violations(target.data_dir / "trellis.duckdb")
    assert not found, "\n".join([*found[:20], target.engine.log_tail(20)])


def assert_no_growth(target: Target, before: Footprint) -> None:
    after = read_footprint(target.engine_pid)
    # Idle connections of pools come and go; one leaked by each stroke or call is more than this.
    assert after.descriptors < before.descriptors + 25, (before, after)
    assert after.threads < before.threads + 25, (before, after)
    assert after.memory_bytes < before.memory_bytes + 150_000_000, (before, after)


def wait_acknowledged(load: SteadyLoad, more: int) -> None:
    """Wait until so many more submissions are acknowledged."""
    wanted = load.acknowledged + more
    wait_until(lambda: load.acknowledged >= wanted, lambda: (load.refusals, load.failure))


def wait_until(holds: Callable[[], bool], tell: Callable[[], object]) -> None:
    give_up_at_s = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < give_up_at_s, tell()
        time.sleep(0.02)


def longest_read_s(client: EngineClient, for_s: float) -> float:
    """Read features again and again; return how long the slowest answer took."""
    longest_s = 0.0
    end_s = time.monotonic() + for_s
    while time.monotonic() < end_s:
        started_s = time.monotonic()
        client.read_features(1)
        longest_s = max(longest_s, time.monotonic() - started_s)
        time.sleep(0.01)
    return longest_s


def submit_and_watch(client: EngineClient, folder: Path, proxy: Proxy) -> jobs_pb2.Job:
    """Follow a job over a network that is late and in pieces; return the last it told."""
    trio.from_thread.run_sync(lambda: proxy.set_conditions(TORN_AND_LATE))
    try:
        job_id = client.submit({"folder": str(folder), "seconds": 1.0}, key="watched")
        states = list(client.watch(job_id, timeout_s=20.0))
    finally:
        trio.from_thread.run_sync(lambda: proxy.set_conditions(PERFECT))
    assert all(json.loads(job.payload_json)["seconds"] == 1.0 for job in states)
    return states[-1]
