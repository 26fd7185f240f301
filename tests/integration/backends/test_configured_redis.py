import itertools
import logging
import socket

import pytest
import trio
from attrs import evolve
from prometheus_client import REGISTRY

from engine.backends import open_redis
from engine.config import RedisConfig, Secret
from tests.support.redis_servers import running_cluster

SECRET = "hush-hush-marker"


def config_for(port, *, scheme="redis", password=None):
    user = f":{password}@" if password else ""
    return RedisConfig(url=Secret(f"{scheme}://{user}127.0.0.1:{port}/0"))


def gauge():
    return REGISTRY.get_sample_value("trellis_backend_up", {"backend": "redis"})


async def test_outages_are_reported_and_recovered_from(
    data_dir, health, quick, free_port, start_redis, eventually, caplog
):
    caplog.set_level(logging.INFO)
    async with open_redis(config_for(free_port), data_dir, health, supervision=quick) as backend:
        assert not backend.embedded
        down = f"redis is unavailable: connection refused at 127.0.0.1:{free_port}"
        assert backend.state.detail == down
        assert health.snapshot()["redis"].detail == down
        assert gauge() == 0
        for _ in range(2):
            server = start_redis("--port", free_port, "--bind", "127.0.0.1")
            await eventually(lambda: backend.state.up)
            assert gauge() == 1
            assert await trio.to_thread.run_sync(backend.client.ping)
            server.kill()
            server.wait()
            await eventually(lambda: not backend.state.up)
            assert backend.state.detail == down
    changes = [record.message for record in caplog.records if record.message.startswith("backend")]
    # At a crash, a connection may be cut off before the next one is refused: two causes.
    unrepeated = [message for message, _ in itertools.groupby(changes)]
    assert unrepeated == ["backend down", "backend up"] * 2 + ["backend down"]
    assert len(changes) <= 7
    assert not (data_dir / "redis").exists()


@pytest.mark.parametrize("password", [SECRET, None])
async def test_refused_credentials_are_named_without_the_secret(
    password, data_dir, health, quick, free_port, start_redis, eventually, caplog
):
    start_redis("--port", free_port, "--bind", "127.0.0.1", "--requirepass", "another")
    config = config_for(free_port, password=password)
    async with open_redis(config, data_dir, health, supervision=quick) as backend:
        await eventually(
            lambda: "refused at" in backend.state.detail and "pass" in backend.state.detail
        )
        assert "user name or password refused at 127.0.0.1" in backend.state.detail
        assert SECRET not in repr(backend)
    assert SECRET not in caplog.text
    assert all(SECRET not in str(vars(record)) for record in caplog.records)


async def test_right_password_is_used(data_dir, health, quick, free_port, start_redis, eventually):
    start_redis("--port", free_port, "--bind", "127.0.0.1", "--requirepass", SECRET)
    config = config_for(free_port, password=SECRET)
    async with open_redis(config, data_dir, health, supervision=quick) as backend:
        await eventually(lambda: backend.state.up)
        assert SECRET not in backend.state.detail


async def test_cluster_is_reached_by_any_of_its_nodes(data_dir, health, quick, eventually):
    with running_cluster("redis6") as ports:
        config = evolve(config_for(ports[0]), cluster=True)
        async with open_redis(config, data_dir, health, supervision=quick) as backend:
            await eventually(lambda: backend.state.up)
            client = await trio.to_thread.run_sync(backend.connect)
            for key in ("a", "b", "c", "d", "e", "f"):
                assert await trio.to_thread.run_sync(client.set, key, key)
    assert "127.0.0.1" in backend.address


async def test_cluster_that_is_away_is_awaited(data_dir, health, quick, free_port):
    config = evolve(config_for(free_port, password=SECRET), cluster=True)
    async with open_redis(config, data_dir, health, supervision=quick) as backend:
        assert backend.state.detail == (
            f"redis is unavailable: connection refused at 127.0.0.1:{free_port}"
        )


async def test_server_that_accepts_and_says_nothing_is_down(data_dir, health, quick, monkeypatch):
    monkeypatch.setattr("engine.backends.redis_client._PROBE_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        async with open_redis(config_for(port), data_dir, health, supervision=quick) as backend:
            assert "no answer within 0.3 s" in backend.state.detail


async def test_unknown_host_is_named(data_dir, health, quick):
    config = RedisConfig(url=Secret("redis://no-such-host.invalid:6379"))
    async with open_redis(config, data_dir, health, supervision=quick) as backend:
        detail = backend.state.detail
        assert "no-such-host.invalid:6379" in detail
        assert "cannot be resolved" in detail or "no answer within" in detail


async def test_plain_server_behind_a_tls_url_is_a_tls_failure(
    data_dir, health, quick, free_port, start_redis, eventually
):
    start_redis("--port", free_port, "--bind", "127.0.0.1")
    config = config_for(free_port, scheme="rediss", password=SECRET)
    async with open_redis(config, data_dir, health, supervision=quick) as backend:
        await eventually(lambda: "refused at" not in backend.state.detail)
        assert not backend.state.up
        assert SECRET not in backend.state.detail


async def test_certificate_of_an_unknown_authority_is_refused(data_dir, health, quick, tls_server):
    config = config_for(tls_server.port, scheme="rediss")
    async with open_redis(config, data_dir, health, supervision=quick) as backend:
        detail = backend.state.detail
        assert f"the TLS certificate at 127.0.0.1:{tls_server.port} is refused" in detail


async def test_leaving_does_not_wait_for_a_hanging_probe(data_dir, health, quick):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with trio.move_on_after(0.2):
            async with open_redis(config_for(port), data_dir, health, supervision=quick):
                await trio.sleep_forever()
        started = trio.current_time()
    assert trio.current_time() - started < 1


async def test_slow_pace_of_probes_is_kept(data_dir, health, quick, free_port):
    slow = evolve(quick, probe_interval_s=30.0)
    async with open_redis(config_for(free_port), data_dir, health, supervision=slow) as backend:
        assert not backend.state.up
