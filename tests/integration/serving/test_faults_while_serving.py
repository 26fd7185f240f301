"""What callers notice of faults while they are served: nothing but time."""

import os
import signal

import pytest

from proto.trellis.v1 import models_pb2, workers_pb2
from tests.support.serving_engine import (
    ServingEngine,
    calling,
    serving_engine,
    stopped,
    wait_until,
)
from tests.support.trained_version import CHALLENGER, CHAMPION


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with serving_engine(
        tmp_path_factory.mktemp("serving"), promotions=(CHAMPION, CHALLENGER)
    ) as running:
        running.predict(timeout_s=90.0)
        yield running


def champion_is(engine: ServingEngine, version: int) -> None:
    engine.call(
        "ModelService/SetAlias",
        models_pb2.SetAliasRequest(model="buys", alias="champion", version=version),
    )


def test_killed_scoring_workers_cost_no_caller_an_error(engine):
    engine.wait_for_scorers(2)
    with calling(engine) as callers:
        for _ in range(3):
            callers.wait_for_answers(30)
            before = engine.wait_for_scorers(2)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            engine.wait_for_scorers(2, other_than=before)
        callers.wait_for_answers(30)
    assert callers.answers > 120


def test_a_stopped_scoring_worker_holds_nobody_up_for_long(engine):
    pid = next(iter(engine.wait_for_scorers(2)))
    with calling(engine) as callers:
        callers.wait_for_answers(20)
        with stopped(pid):
            callers.wait_for_answers(200)
            wait_until(lambda: pid not in engine.scorers(), 30.0)
        callers.wait_for_answers(20)
    # Its batch was given to the other worker, long before its lease ended.
    assert callers.slowest_s < 4.0


def test_a_promotion_under_load_drops_no_request(engine):
    engine.wait_for_scorers(2)
    with calling(engine) as callers:
        callers.wait_for_answers(50)
        champion_is(engine, 3)
        assert engine.predict().model_version == 3
        callers.wait_for_answers(50)
        champion_is(engine, 2)
        assert engine.predict().model_version == 2
        callers.wait_for_answers(50)
    assert set(callers.versions) == {2, 3}


def test_all_workers_replaced_under_load_drop_no_request(engine):
    before = engine.wait_for_scorers(2)
    with calling(engine) as callers:
        callers.wait_for_answers(20)
        engine.call("WorkerService/RestartWorkers", workers_pb2.RestartWorkersRequest(pool="serve"))
        engine.wait_for_scorers(2, other_than=before)
        callers.wait_for_answers(20)
