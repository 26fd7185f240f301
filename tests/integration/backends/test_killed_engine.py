"""An engine that is killed outright takes its servers along, whatever it was doing."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from engine.backends import open_redis
from engine.config import RedisConfig

ROOT = Path(__file__).parents[3]

ENGINE = """
import sys
from pathlib import Path
import trio
from engine.backends import open_kafka, open_redis
from engine.config import KafkaConfig, RedisConfig
from engine.health import HealthBoard

async def main(data_dir):
    health = HealthBoard()
    print("starting", flush=True)
    async with (
        open_redis(RedisConfig(), data_dir, health) as redis,
        open_kafka(KafkaConfig(), data_dir, health) as kafka,
    ):
        assert redis.state.up and kafka.state.up
        print("ready", flush=True)
        while True:
            number = await trio.to_thread.run_sync(redis.client.incr, "acknowledged")
            print(number, flush=True)

trio.run(main, Path(sys.argv[1]))
"""


class Engine:
    """A process of its own that holds both backends open and counts in Redis."""

    def __init__(self, data_dir):
        self._process = subprocess.Popen(
            [sys.executable, "-c", ENGINE, data_dir], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._process.stdout.close()

    def wait_for(self, word):
        for line in self._process.stdout:
            if line.strip() == word:
                return
        pytest.fail(f"the engine ended before it said {word!r}")

    def kill(self):
        self._process.kill()
        self._process.wait()

    def last_number(self):
        numbers = [
            line for line in self._process.stdout.read().split("\n")[:-1] if line.isdecimal()
        ]
        return int(numbers[-1])


async def test_no_server_outlives_a_killed_engine(data_dir, processes, eventually):
    with Engine(data_dir) as engine:
        await trio.to_thread.run_sync(engine.wait_for, "100")
        servers = [pid for pid in processes(data_dir) if is_server(pid)]
        assert len(servers) == 2
        engine.kill()
        await eventually(lambda: processes(data_dir) == [], within_s=2)


def is_server(pid):
    return os.getpgid(pid) == pid


async def test_no_server_outlives_an_engine_killed_while_starting(data_dir, processes, eventually):
    moments = random.Random(7)
    for _ in range(6):
        with Engine(data_dir) as engine:
            await trio.to_thread.run_sync(engine.wait_for, "starting")
            await trio.sleep(moments.uniform(0, 0.12))
            engine.kill()
            await eventually(lambda: processes(data_dir) == [], within_s=2)


async def test_no_server_outlives_an_engine_killed_while_frozen(data_dir, processes, eventually):
    with Engine(data_dir) as engine:
        await trio.to_thread.run_sync(engine.wait_for, "ready")
        for pid in processes(data_dir):
            os.kill(pid, signal.SIGSTOP)
        engine.kill()
        await eventually(lambda: processes(data_dir) == [], within_s=2)


async def test_next_engine_finds_all_that_was_acknowledged(data_dir, health, quick):
    for _ in range(3):
        with Engine(data_dir) as engine:
            await trio.to_thread.run_sync(engine.wait_for, "ready")
            await trio.sleep(0.1)
            engine.kill()
            acknowledged = engine.last_number()
            # At once: the killed engine's redis-server may still be dying.
            async with open_redis(RedisConfig(), data_dir, health, supervision=quick) as backend:
                assert backend.state.up, backend.state.detail
                found = await trio.to_thread.run_sync(backend.client.get, "acknowledged")
            assert int(found) in {acknowledged, acknowledged + 1}
