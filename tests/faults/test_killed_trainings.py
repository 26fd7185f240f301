"""Trainings whose worker, or whose engine, is killed: one version comes of it, at every stage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.trellis.v1 import jobs_pb2
from tests.faults import armed_worker
from tests.support.learning_engine import LearningEngine, prepare, running_engine
from tests.support.serving_engine import wait_until

STAGES = [stage for stage in armed_worker.STAGES if stage != "once it has reported"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LearningEngine]:
    folder = tmp_path_factory.mktemp("killed")
    prepare(folder)
    with running_engine(folder, job_types=armed_worker.JOB_TYPES) as running:
        running.predict(timeout_s=60.0)
        yield running
        assert running.process.stop() == 0
        running.check_log()


def arm(engine: LearningEngine, folder: Path, stage: str, fault: str) -> None:
    engine.submit("arm", stage=stage, fault=fault, folder=str(folder), of="train")


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_killed_while_it_trains_costs_one_attempt_and_no_version(
    engine: LearningEngine, tmp_path: Path, stage: str
) -> None:
    arm(engine, tmp_path, stage, "die")
    before = engine.model().latest_version
    job_id, _ = engine.retrain()
    wait_until((tmp_path / "reached").exists, 30.0)
    assert engine.predict().model_version == 2
    job = engine.wait_for_end(job_id)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert [(one.cause, one.charged) for one in job.attempts] == [
        ("died", True),
        ("completed", False),
    ]
    assert engine.versions_of(job_id) == [before + 1]
    assert engine.aliases() == {"champion": 2, "challenger": before + 1}


def test_what_a_training_has_stored_is_no_version_until_it_has_ended(
    engine: LearningEngine, tmp_path: Path
) -> None:
    arm(engine, tmp_path, "before it reports", "wait")
    before = engine.model().latest_version
    job_id, _ = engine.retrain()
    wait_until((tmp_path / "reached").exists, 30.0)
    engine.call("JobService/CancelJob", jobs_pb2.CancelJobRequest(job_id=job_id))
    assert engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_CANCELLED
    assert (engine.model().latest_version, engine.aliases()["champion"]) == (before, 2)
    # Nor is it in the way of the next one, which stores the same.
    assert engine.versions_of(engine.train().job_id) == [before + 1]
