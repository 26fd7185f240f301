"""An engine that is killed while its model learns: the next one goes on, and repeats nothing."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import attrs
import grpc
import pytest

from proto.trellis.v1 import jobs_pb2, monitor_pb2
from tests.faults import armed_worker
from tests.support.learning_engine import MODELS, LearningEngine, prepare, running_engine
from tests.support.serving_engine import wait_until

DRIFT_WINDOW_S = 180
MODELS_THAT_DRIFT = MODELS.replace(
    "drift: {window: 10m, least_rows: 50}", f"drift: {{window: {DRIFT_WINDOW_S}s, least_rows: 20}}"
)


@attrs.define
class Mortal:
    """An engine that is there again after each of its ends."""

    engine: LearningEngine

    def arm(self, folder: Path, stage: str, fault: str, of: str = "train") -> None:
        pid = self.engine.process.pid
        self.engine.submit("arm", stage=stage, fault=fault, folder=str(folder), of=of, pid=pid)

    def rise_again(self, champion: int = 2) -> None:
        """Wait for the end that was prepared, and start it again: its champion answers."""
        process = self.engine.process
        assert process.wait(30.0) != 0
        self.engine.close()
        self.engine = LearningEngine(process.start())
        assert self.engine.predict(timeout_s=60.0).model_version == champion


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    folder = tmp_path_factory.mktemp("mortal")
    prepare(folder, models=MODELS_THAT_DRIFT, rush_s=DRIFT_WINDOW_S)
    with running_engine(folder, job_types=armed_worker.JOB_TYPES) as running:
        running.predict(timeout_s=60.0)
        mortal = Mortal(running)
        yield mortal
        mortal.engine.close()
        assert running.process.stop() == 0
        running.check_log()


def test_an_engine_killed_amid_a_training_costs_an_attempt_that_is_not_charged(
    mortal: Mortal, tmp_path: Path
) -> None:
    mortal.arm(tmp_path, "before it reports", "wait")
    before = mortal.engine.model().latest_version
    job_id, _ = mortal.engine.retrain()
    wait_until((tmp_path / "reached").exists, 30.0)
    mortal.engine.process.signal(signal.SIGKILL)
    mortal.rise_again()
    job = mortal.engine.wait_for_end(job_id)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert [(one.cause, one.charged) for one in job.attempts] == [
        ("engine_lost", False),
        ("completed", False),
    ]
    assert mortal.engine.versions_of(job_id) == [before + 1]
    assert mortal.engine.aliases() == {"champion": 2, "challenger": before + 1}


def test_an_engine_killed_once_a_version_is_committed_trains_it_no_second_time(
    mortal: Mortal, tmp_path: Path
) -> None:
    mortal.arm(tmp_path, "once it has reported", "kill")
    before = mortal.engine.model().latest_version
    job_id, _ = mortal.engine.retrain()
    mortal.rise_again()
    job = mortal.engine.job(job_id)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert [one.cause for one in job.attempts] == ["completed"]
    assert mortal.engine.versions_of(job_id) == [before + 1]


def test_an_engine_killed_once_a_drift_report_is_committed_starts_one_training_for_it(
    mortal: Mortal, tmp_path: Path
) -> None:
    [champion] = mortal.engine.versions_of(mortal.engine.train().job_id)
    mortal.engine.set_champion(champion)  # of which it is known what it was trained on
    mortal.arm(tmp_path, "once it has reported", "kill", of="detect_drift")
    with pytest.raises(grpc.RpcError) as raised:
        ask_for_drift(mortal.engine)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    mortal.rise_again(champion)
    [report] = reports(mortal.engine)
    assert report.verdict == monitor_pb2.DRIFT_VERDICT_DRIFTED
    wait_until(lambda: reports(mortal.engine)[0].retrain_job_id != "", 30.0)
    job_id = reports(mortal.engine)[0].retrain_job_id
    assert mortal.engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert len(mortal.engine.versions_of(job_id)) == 1
    causes = {
        job.job_id: json.loads(job.payload_json)["cause"]
        for job in mortal.engine.list_jobs("train")
    }
    assert [one for one, cause in causes.items() if cause == "drift"] == [job_id]
    # The next report finds the cool-down begun before the end.
    ask_for_drift(mortal.engine)
    wait_until(lambda: "cool_down" in reports(mortal.engine)[0].not_retrained_because, 30.0)


def ask_for_drift(engine: LearningEngine) -> None:
    engine.call("MonitorService/DetectDrift", monitor_pb2.DetectDriftRequest(model="buys"), 60.0)


def reports(engine: LearningEngine) -> list[monitor_pb2.DriftReport]:
    request = monitor_pb2.ListDriftReportsRequest(model="buys")
    return list(engine.call("MonitorService/ListDriftReports", request).reports)
