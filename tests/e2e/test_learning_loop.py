"""The learning loop closes by itself: seen over gRPC only, with traffic that shifts."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from proto.trellis.v1 import features_pb2, jobs_pb2, models_pb2, monitor_pb2
from tests.support.engine_process import EngineProcess
from tests.support.serving_engine import ServingEngine, calling

DRIFT_AT_S = 40
FEATURES = """
entities:
  user: {key: user_id, type: int64}
features:
  carts_20s: {from: events, where: {action: cart}, aggregate: count, window: 20s}
  mean_cart_20s: {from: events, where: {action: cart}, aggregate: mean, column: value, window: 20s}
  last_action: {from: events, aggregate: last, column: action}
"""
MODELS = """
models:
  buys:
    entity: user
    features: [carts_20s, mean_cart_20s, last_action]
    label: {where: {action: purchase}, within: 5s}
    observations: {every: 2s, last: 40s, active: 20s}
    split: {least_rows: 200}
    drift: {every: 5s, window: 15s, least_rows: 50, share: 0.3, ks_statistic: 0.3, psi: 1}
    policy: {metric: log_loss, cool_down: 20s}
"""
SHIFTED = "mean_cart_20s"
"""Carts cost three times as much from the shift on."""

_Found = TypeVar("_Found")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingEngine]:
    folder = tmp_path_factory.mktemp("loop")
    configs = folder / "configs"
    write_configs(configs)
    traffic = ("--events-per-second", "200", "--drift-at", f"{DRIFT_AT_S}s")
    with EngineProcess(
        folder / "data", config_dir=configs, arguments=["run", "--demo", *traffic]
    ) as process:
        engine = ServingEngine(process)
        try:
            yield engine
        finally:
            engine.close()
        assert process.stop() == 0
    assert "Traceback" not in process.log_path.read_text()


def write_configs(folder: Path) -> None:
    folder.mkdir()
    (folder / "app.yaml").write_text("workers: {max_python_workers: 3, pools: {serve: 1}}\n")
    (folder / "features.yaml").write_text(FEATURES)
    (folder / "models.yaml").write_text(MODELS)


def test_a_model_is_trained_watched_and_trained_again_while_it_answers(
    engine: ServingEngine,
) -> None:
    ready_us = time.time_ns() // 1000
    first = wait_for(lambda: find_champion(engine), 60)
    assert first.trained.cause == "first"
    assert first.source == models_pb2.MODEL_SOURCE_TRAINED
    check_explained(engine, first.version)

    with calling(engine, 2) as callers:
        # The answers go on although whoever gives them is killed meanwhile.
        [victim] = engine.wait_for_scorers(1)
        os.kill(victim, signal.SIGKILL)
        engine.wait_for_scorers(1, other_than=[victim])
        callers.wait_for_answers(20)

        report = wait_for(lambda: find_drift(engine, ready_us + DRIFT_AT_S * 1_000_000), 90)
        assert report.verdict == monitor_pb2.DRIFT_VERDICT_DRIFTED
        assert report.cause == "schedule"
        second = wait_for(lambda: find_trained_on(engine, report), 60)
        check_lineage(engine, second, report)

        if champion_of(engine) != second.version:
            set_champion(engine, second.version)
        wait_for(lambda: engine.predict().model_version == second.version or None, 20)
        callers.wait_for_answers(20)
        check_explained(engine, second.version)

        before = set_champion(engine, first.version)
        assert before == second.version
        assert engine.predict().model_version == first.version
        assert engine.predict(version=second.version).model_version == second.version
        callers.wait_for_answers(20)

    assert callers.versions.keys() >= {first.version, second.version}


def wait_for(find: Callable[[], _Found | None], within_s: float) -> _Found:
    """Return what is found in time. Raises AssertionError when the time is up."""
    give_up_s = time.monotonic() + within_s
    while (found := find()) is None:
        assert time.monotonic() < give_up_s, f"{find} has found nothing in time"
        time.sleep(0.2)  # between two looks
    return found


def get_model(engine: ServingEngine, version: int = 0) -> models_pb2.Model:
    request = models_pb2.GetModelRequest(model="buys", version=version)
    model: models_pb2.Model = engine.call("ModelService/GetModel", request).model
    return model


def champion_of(engine: ServingEngine) -> int:
    aliases = {alias.alias: alias.version for alias in get_model(engine).aliases}
    return aliases.get("champion", 0)


def find_champion(engine: ServingEngine) -> models_pb2.Model | None:
    number = champion_of(engine)
    return get_model(engine, number) if number else None


def find_drift(engine: ServingEngine, shift_us: int) -> monitor_pb2.DriftReport | None:
    """Return a report that has seen the shift, and has started a training."""
    request = monitor_pb2.ListDriftReportsRequest(model="buys")
    for report in engine.call("MonitorService/ListDriftReports", request).reports:
        after = report.window_end.ToMicroseconds() > shift_us
        seen = SHIFTED in {one.feature for one in report.features if one.drifted}
        if after and seen and report.retrain_job_id:
            return report
    return None


def find_trained_on(
    engine: ServingEngine, report: monitor_pb2.DriftReport
) -> models_pb2.Model | None:
    for number in range(get_model(engine).latest_version, report.model_version, -1):
        model = get_model(engine, number)
        if model.trained.drift_report_id == report.report_id:
            return model
    return None


def check_lineage(
    engine: ServingEngine, model: models_pb2.Model, report: monitor_pb2.DriftReport
) -> None:
    request = jobs_pb2.GetJobRequest(job_id=report.retrain_job_id)
    job = engine.call("JobService/GetJob", request).job
    payload = json.loads(job.payload_json)
    trained = model.trained
    assert (payload["cause"], payload["drift_report_id"]) == ("drift", report.report_id)
    assert (trained.job_id, trained.cause) == (report.retrain_job_id, "drift")
    assert trained.training_commit_seq == payload["commit_seq"]
    # Both were judged by the same rows.
    assert {one.name for one in trained.metrics} == {one.name for one in trained.champion_metrics}
    assert "log_loss" in {one.name for one in trained.metrics}
    assert list(model.features) == ["carts_20s", SHIFTED, "last_action"]
    lineage = json.loads(trained.lineage_json)
    assert lineage["champion"] == {"version": report.model_version}
    assert lineage["libraries"]


def check_explained(engine: ServingEngine, version: int) -> None:
    """A prediction of a user who does something meanwhile is rebuilt from history."""
    made = engine.predict(entity_key=7, version=version).prediction
    request = features_pb2.ExplainPredictionRequest(prediction_id=made.prediction_id)
    found = engine.call("FeatureService/ExplainPrediction", request)
    assert found.reproduced
    assert found.model_version == version
    assert [one.given for one in found.features] == [one.rebuilt for one in found.features]
    assert found.prediction.score == made.score


def set_champion(engine: ServingEngine, version: int) -> int:
    """Move the alias from where it points now; return where that was."""
    request = models_pb2.SetAliasRequest(
        model="buys", alias="champion", version=version, expected_version=champion_of(engine)
    )
    number: int = engine.call("ModelService/SetAlias", request).previous_version
    return number
