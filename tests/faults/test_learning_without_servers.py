"""Redis and the broker away, while a model is trained and while it answers."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from proto.trellis.v1 import jobs_pb2
from tests.faults import armed_worker
from tests.support.broker_process import BrokerProcess
from tests.support.learning_engine import LearningEngine, prepare, running_engine
from tests.support.redis_servers import RedisServer, running_server
from tests.support.serving_engine import calling, wait_until


@attrs.frozen
class World:
    """An engine, and the servers that it has been given."""

    engine: LearningEngine
    redis: RedisServer
    broker: BrokerProcess


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("servers")
    prepare(folder)
    with running_server("redis6") as redis, BrokerProcess() as broker:
        settings = (
            f"redis.url=unix://{redis.socket_path}",
            f"kafka.bootstrap_servers={broker.bootstrap_servers}",
            "kafka.group_id=null",
        )
        with running_engine(
            folder, scorers=2, job_types=armed_worker.JOB_TYPES, settings=settings
        ) as engine:
            engine.predict(timeout_s=60.0)
            engine.wait_for_scorers(2)
            yield World(engine, redis, broker)
            assert engine.process.stop() == 0
            engine.check_log()


def test_a_training_ends_without_redis_and_broker_and_predictions_go_on(
    world: World, tmp_path: Path
) -> None:
    engine = world.engine
    engine.submit("arm", stage="fitting", fault="wait", folder=str(tmp_path), of="train")
    job_id, _ = engine.retrain()
    wait_until((tmp_path / "reached").exists, 30.0)
    with calling(engine, 4) as callers:
        world.redis.kill()
        world.broker.kill()
        callers.wait_for_answers(20)
        # Whoever takes its place gets no work from a queue that is away; the other one has it all.
        os.kill(next(iter(engine.scorers())), signal.SIGKILL)
        callers.wait_for_answers(20)
        (tmp_path / "go").touch()
        assert engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_SUCCEEDED
        assert len(engine.versions_of(job_id)) == 1
        callers.wait_for_answers(20)


def test_a_training_called_for_without_redis_begins_when_it_is_back_with_nothing_in_it(
    world: World,
) -> None:
    engine = world.engine
    world.redis.kill()
    job_id, created = engine.retrain()
    assert created
    assert engine.retrain() == (job_id, False)
    assert engine.job(job_id).state == jobs_pb2.JOB_STATE_QUEUED
    for file in world.redis.folder.glob("append*"):
        file.unlink()
    with calling(engine, 4) as callers:
        world.redis.start()
        assert engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_SUCCEEDED
        assert len(engine.versions_of(job_id)) == 1
        engine.wait_for_scorers(2)
        callers.wait_for_answers(20)
