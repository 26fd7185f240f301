import os
import signal
import stat
from functools import partial

import pytest
import redis.exceptions
import trio
from attrs import evolve
from prometheus_client import REGISTRY

from engine.backends import open_redis
from engine.backends.binaries import find_redis_server
from engine.config import RedisConfig
from engine.errors import FailedPreconditionError
from engine.health import HealthBoard


def restarts():
    return REGISTRY.get_sample_value("trellis_backend_restarts_total", {"backend": "redis"}) or 0


async def call(function, *arguments):
    return await trio.to_thread.run_sync(partial(function, *arguments))


async def test_redis_serves_on_a_private_socket_and_no_port(data_dir, health, quick):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert backend.embedded
        assert backend.state.up
        assert health.snapshot()["redis"].ok
        assert await call(backend.client.ping)
        settings = await call(backend.client.config_get, "*")
        assert settings["port"] == "0"
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "always"
        path = data_dir / "redis" / "redis.sock"
        assert backend.address == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        aof = path.parent / "appendonly.aof"
        assert stat.S_IMODE(aof.stat().st_mode) == 0o600


async def test_stopping_leaves_no_process_and_no_socket(data_dir, health, quick, processes):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick):
        assert len(processes(data_dir)) == 1
    assert processes(data_dir) == []
    assert not (data_dir / "redis" / "redis.sock").exists()
    assert health.snapshot()["redis"].detail == "stopped"


async def test_data_outlives_the_engine(data_dir, health, quick):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        await call(backend.client.set, "key", "value")
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert await call(backend.client.get, "key") == b"value"


async def test_killed_redis_is_back_with_its_data(data_dir, health, quick, processes):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        await call(backend.client.set, "key", "value")
        before, up = restarts(), backend.state
        (pid,) = processes(data_dir)
        os.kill(pid, signal.SIGKILL)
        with trio.fail_after(5):
            down = await backend.wait_state_change(up)
            assert not down.up
            assert "killed by SIGKILL" in down.detail
            assert (await backend.wait_state_change(down)).up
        assert restarts() == before + 1
        assert await call(backend.client.get, "key") == b"value"


async def test_frozen_redis_is_replaced(data_dir, health, processes, quick, eventually):
    impatient = evolve(quick, unresponsive_after_s=0.5)
    async with open_redis(RedisConfig(), data_dir, health, supervision=impatient) as backend:
        (pid,) = processes(data_dir)
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: processes(data_dir) not in ([pid], []), within_s=15)
        await eventually(lambda: backend.state.up)
        assert await call(backend.client.ping)


async def test_frozen_redis_stops_in_order_with_its_engine(
    data_dir, health, processes, quick, caplog
):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick):
        (pid,) = processes(data_dir)
        os.kill(pid, signal.SIGSTOP)
    assert processes(data_dir) == []
    assert "child did not stop in time" not in caplog.messages


async def test_server_left_over_by_another_engine_is_ended_first(
    data_dir, health, quick, start_redis, eventually, caplog
):
    folder = data_dir / "redis"
    folder.mkdir()
    leftover = start_redis(
        *("--port", 0, "--unixsocket", folder / "redis.sock", "--dir", folder),
        *("--appendonly", "yes"),
    )
    old = redis.Redis(unix_socket_path=str(folder / "redis.sock"))
    await eventually((folder / "redis.sock").exists)
    await call(old.set, "key", "value")
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert leftover.wait() == 0
        assert backend.state.up
        assert await call(backend.client.get, "key") == b"value"
    assert "ending leftover redis-server" in caplog.messages
    old.close()


async def test_frozen_leftover_is_killed(
    data_dir, health, quick, start_redis, eventually, monkeypatch
):
    monkeypatch.setattr("engine.backends.redis_server._LEFTOVER_STOP_S", 0.2)
    folder = data_dir / "redis"
    folder.mkdir()
    leftover = start_redis("--port", 0, "--unixsocket", folder / "redis.sock")
    await eventually((folder / "redis.sock").exists)
    leftover.send_signal(signal.SIGSTOP)
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert backend.state.up
        assert leftover.wait() == -signal.SIGKILL


async def test_stale_socket_file_is_no_obstacle(data_dir, health, quick, start_redis, eventually):
    folder = data_dir / "redis"
    folder.mkdir()
    killed = start_redis("--port", 0, "--unixsocket", folder / "redis.sock")
    await eventually((folder / "redis.sock").exists)
    killed.kill()
    killed.wait()
    assert (folder / "redis.sock").exists()
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert backend.state.up


async def test_second_engine_on_the_same_folder_is_refused(data_dir, health, quick, monkeypatch):
    monkeypatch.setattr("engine.backends.folder._LOCK_WAIT_S", 0.1)
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        with pytest.raises(FailedPreconditionError, match=f"pid {os.getpid()}"):
            async with open_redis(RedisConfig(), data_dir, health):
                pass
        assert await call(backend.client.ping)


async def test_data_path_too_long_for_a_socket(data_dir, health, quick):
    deep = data_dir / ("d" * 120)
    async with open_redis(RedisConfig(), deep, health, supervision=quick) as backend:
        assert await call(backend.client.set, "key", "value")
        assert len(os.fsencode(backend.address)) <= 107
        assert (deep / "redis" / "appendonly.aof").exists()


async def test_data_path_with_blanks_quotes_and_umlauts(data_dir, health, quick):
    odd = data_dir / "my \"däta\" 'földer'"
    async with open_redis(RedisConfig(), odd, health, supervision=quick) as backend:
        assert backend.state.up, backend.state.detail
        assert (odd / "redis" / "appendonly.aof").exists()


async def test_engines_with_folders_of_their_own_do_not_meet(tmp_path_factory, quick):
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    async with (
        open_redis(RedisConfig(), one, HealthBoard(), supervision=quick) as first,
        open_redis(RedisConfig(), two, HealthBoard(), supervision=quick) as second,
    ):
        await call(first.client.set, "key", "first")
        assert await call(second.client.get, "key") is None


async def test_damaged_data_is_set_aside(data_dir, health, quick, eventually, caplog):
    folder = data_dir / "redis"
    folder.mkdir()
    damaged = b"*1\r\n$4\r\nBLAH\r\nnot a log\r\n" * 9
    (folder / "appendonly.aof").write_bytes(damaged)
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert not backend.state.up
        assert "exit status 1; it said: " in backend.state.detail
        assert "next start in" in health.snapshot()["redis"].detail
        await eventually(lambda: backend.state.up)
        assert await call(backend.client.set, "key", "value")
    assert (folder / "damaged" / "appendonly.aof").read_bytes() == damaged
    assert "cannot read its data" in caplog.text
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert await call(backend.client.get, "key") == b"value"


async def test_data_without_its_end_is_read_as_far_as_it_goes(data_dir, health, quick):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        await call(backend.client.set, "key", "value")
        await call(backend.client.set, "other", "value")
    log = data_dir / "redis" / "appendonly.aof"
    log.write_bytes(log.read_bytes()[:-3])
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert await call(backend.client.get, "key") == b"value"
        assert await call(backend.client.get, "other") is None
    assert not (data_dir / "redis" / "damaged").exists()


async def test_data_that_may_not_be_read_is_no_damage(data_dir, health, quick):
    folder = data_dir / "redis"
    (folder / "appendonly.aof").mkdir(parents=True)
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        assert not backend.state.up
    assert not (folder / "damaged").exists()


async def test_redis_that_reads_its_data_is_waited_for(data_dir, health, quick, script, eventually):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        await call(backend.client.mset, {f"key{n}": os.urandom(50_000) for n in range(400)})
        await call(backend.client.bgrewriteaof)
        log = data_dir / "redis" / "appendonly.aof"
        await eventually(lambda: log.read_bytes().startswith(b"REDIS"))
    # Five milliseconds a key: two seconds in all. Redis looks for clients every 2 MB, or 0.2 s.
    slow = script(f'exec {find_redis_server()} "$@" --key-load-delay 5000')
    impatient = evolve(quick, ready_within_s=1.5)
    async with open_redis(
        RedisConfig(), data_dir, health, binary=slow, supervision=impatient
    ) as backend:
        assert not backend.state.up
        assert "it is loading its data" in backend.state.detail
        await eventually(lambda: backend.state.up)
        assert await call(backend.client.dbsize) == 400


async def test_remains_of_a_rewrite_that_was_cut_off_are_removed(data_dir, health, quick):
    remains = data_dir / "redis" / "temp-rewriteaof-4711.aof"
    remains.parent.mkdir()
    remains.write_text("half")
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick):
        assert not remains.exists()


async def test_client_reconnects_by_itself_after_a_restart(data_dir, health, quick, processes):
    async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
        await call(backend.client.ping)
        up = backend.state
        os.kill(processes(data_dir)[0], signal.SIGKILL)
        with trio.fail_after(5):
            down = await backend.wait_state_change(up)
            with pytest.raises(redis.exceptions.ConnectionError):
                await call(backend.client.ping)
            await backend.wait_state_change(down)
        assert await call(backend.client.ping)


async def test_cancellation_stops_the_server_in_order(data_dir, health, quick, processes, caplog):
    with caplog.at_level("DEBUG"), trio.CancelScope() as scope:
        async with open_redis(RedisConfig(), data_dir, health, supervision=quick):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert processes(data_dir) == []
    assert any("ready to exit" in getattr(record, "line", "") for record in caplog.records)


async def test_cancellation_during_the_start_leaves_nothing(data_dir, health, quick, processes):
    for delay_s in (0, 0.005, 0.01, 0.02, 0.03):
        with trio.move_on_after(delay_s):
            async with open_redis(RedisConfig(), data_dir, health, supervision=quick):
                await trio.sleep_forever()
        assert processes(data_dir) == []
