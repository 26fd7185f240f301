"""The blob store throttled and away, while a model is trained and while it answers."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import attrs
import grpc
import pytest

from proto.trellis.v1 import jobs_pb2
from tests.support.azurite import Azurite
from tests.support.http_proxy import Exchange, HttpProxy, run_http_proxy
from tests.support.learning_engine import LearningEngine, prepare, running_engine
from tests.support.serving_engine import calling, stopped, wait_until

THROTTLED = Exchange(503, {"Retry-After": "0", "x-ms-error-code": "ServerBusy"})
SETTINGS = ("blobs.timeout_s=1",)


@attrs.define
class World:
    """An engine, its blob store, and the way between them."""

    folder: Path
    engine: LearningEngine
    azurite: Azurite
    way: HttpProxy

    @property
    def champion(self) -> int:
        return self.engine.aliases()["champion"]

    def unresponsive_store(self) -> AbstractContextManager[None]:
        """Have the store take connections and answer none while the block runs."""
        assert self.azurite.process is not None
        return stopped(self.azurite.process.pid)

    def restart_the_engine(self) -> None:
        process = self.engine.process
        assert process.stop() == 0
        self.engine.close()
        self.engine = LearningEngine(process.start())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Its first version was trained through the store that it has."""
    folder = tmp_path_factory.mktemp("blobs")
    (folder / "azurite").mkdir()
    azurite = Azurite(folder / "azurite").start()
    try:
        prepare(folder, promotions=())
        with run_http_proxy(azurite.port) as way:
            connection = azurite.connection_string(port=way.port)
            environment = {"AZURE_STORAGE_CONNECTION_STRING": connection}
            with running_engine(folder, settings=SETTINGS, environment=environment) as engine:
                world = World(folder, engine, azurite, way)
                wait_until(lambda: "champion" in engine.aliases(), 60.0)
                yield world
                world.engine.close()
                world.engine.check_log()
    finally:
        azurite.kill()


def test_throttling_costs_a_training_time_and_no_attempt(world: World) -> None:
    left = [THROTTLED] * 2

    def throttle(method: str, path: str) -> Exchange | None:
        return left.pop() if method == "PUT" and left else None

    world.way.choose = throttle
    job = world.engine.train()
    assert not left
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert [one.cause for one in job.attempts] == ["completed"]


def test_a_training_waits_for_its_store_and_the_champion_goes_on_answering(world: World) -> None:
    engine = world.engine
    champion, latest = world.champion, engine.model().latest_version
    with calling(engine, 2) as callers:
        with world.unresponsive_store():
            job_id, _ = engine.retrain()
            wait_until(lambda: len(engine.job(job_id).attempts) >= 2, 60.0)
            # Also when whoever scores has to load it anew.
            [scorer] = engine.wait_for_scorers(1)
            os.kill(scorer, signal.SIGKILL)
            engine.wait_for_scorers(1, other_than=[scorer])
            callers.wait_for_answers(10)
            assert (world.champion, engine.model().latest_version) == (champion, latest)
        job = engine.wait_for_end(job_id)
    assert set(callers.versions) == {champion}
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    *failed, completed = job.attempts
    assert {(one.cause, one.charged) for one in failed} == {("out_of_reach", False)}
    assert all("blobs is unavailable" in one.detail for one in failed)
    assert completed.cause == "completed"
    assert engine.versions_of(job_id) == [latest + 1]


def test_a_version_out_of_reach_does_not_become_champion(world: World) -> None:
    engine = world.engine
    while engine.model().latest_version < 4:
        engine.train()
    champion, wanted = world.champion, 3
    # Whoever scores from now on has loaded what aliases name, and nothing else.
    [scorer] = engine.wait_for_scorers(1)
    os.kill(scorer, signal.SIGKILL)
    engine.wait_for_scorers(1, other_than=[scorer])
    assert engine.predict(version=engine.aliases()["challenger"]).model_version != wanted
    with calling(engine, 2) as callers:
        callers.wait_for_answers(2)
        with world.unresponsive_store():
            for file in (world.folder / "data/model_cache/artifacts").iterdir():
                file.unlink()
            code, details = promotion_refused(world, wanted)
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert "blobs is unavailable" in details
            callers.wait_for_answers(5)
            assert (world.champion, set(callers.versions)) == (champion, {champion})
        wait_until(lambda: not promotion_refused(world, wanted), 30.0)
        callers.wait_for_answers(5)
    assert world.champion == wanted


def test_an_engine_that_starts_without_its_store_serves_every_version_it_has_stored(
    world: World,
) -> None:
    engine = world.engine
    [stored] = engine.versions_of(engine.train().job_id)
    champion = world.champion
    world.azurite.kill()
    world.restart_the_engine()
    assert world.engine.predict(timeout_s=60.0).model_version == champion
    for version in range(2, stored + 1):
        assert world.engine.predict(version=version).model_version == version


def promotion_refused(world: World, version: int) -> tuple[grpc.StatusCode, str] | tuple[()]:
    """Promote a version; return the refusal, nothing if there is none."""
    try:
        world.engine.set_champion(version)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return ()
