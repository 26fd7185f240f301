"""Calls that name what is not there, and several that want the same at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from proto.trellis.v1 import features_pb2, jobs_pb2, models_pb2, monitor_pb2
from tests.support.learning_engine import LearningEngine, prepare, running_engine
from tests.support.trained_version import CHALLENGER, CHAMPION

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
BY_MODEL: dict[str, Any] = {
    "FeatureService/Predict": lambda name: features_pb2.PredictRequest(model=name, entity_key=1),
    "FeatureService/BatchPredict": lambda name: features_pb2.BatchPredictRequest(
        model=name, entity_keys=[1, 2]
    ),
    "FeatureService/GetFeatures": lambda name: features_pb2.GetFeaturesRequest(
        model=name, entity_key=1
    ),
    "ModelService/GetModel": lambda name: models_pb2.GetModelRequest(model=name),
    "ModelService/SetAlias": lambda name: models_pb2.SetAliasRequest(
        model=name, alias="champion", version=2
    ),
    "ModelService/GetQuality": lambda name: models_pb2.GetQualityRequest(model=name),
    "MonitorService/Retrain": lambda name: monitor_pb2.RetrainRequest(model=name),
    "MonitorService/DetectDrift": lambda name: monitor_pb2.DetectDriftRequest(model=name),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LearningEngine]:
    folder = tmp_path_factory.mktemp("asked")
    prepare(folder, (CHAMPION, CHALLENGER))
    with running_engine(folder) as running:
        running.predict(timeout_s=60.0)
        yield running
        running.check_log()


def refusal(engine: LearningEngine, method: str, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        engine.call(method, request)
    return raised.value.code(), raised.value.details()


@pytest.mark.parametrize("method", BY_MODEL)
def test_an_unknown_model_is_not_found_and_close_names_are_told(
    engine: LearningEngine, method: str
) -> None:
    code, details = refusal(engine, method, BY_MODEL[method]("bus"))
    assert (code, details) == (NOT_FOUND, "no model named 'bus'; close to it: buys")


@pytest.mark.parametrize("method", [one for one in BY_MODEL if "GetFeatures" not in one])
@pytest.mark.parametrize(
    "name",
    ["", "x" * 10_000, "buys\0", "' OR 1=1 --", "ßüß"],
    ids=["empty", "long", "nul", "quoted", "not ascii"],
)
def test_a_name_that_no_model_can_have_is_not_found(
    engine: LearningEngine, method: str, name: str
) -> None:
    code, details = refusal(engine, method, BY_MODEL[method](name))
    assert code is NOT_FOUND
    assert details.startswith("no model named ")
    assert len(details) < 200


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        (
            "ModelService/RegisterModel",
            models_pb2.RegisterModelRequest(model="mine", features=["view"]),
            NOT_FOUND,
            "no feature named 'view'; close to it: views",
        ),
        (
            "FeatureService/GetFeatures",
            features_pb2.GetFeaturesRequest(features=["views", "cart"], entity_key=1),
            NOT_FOUND,
            "no feature named 'cart'; close to it: carts",
        ),
        (
            "FeatureService/Predict",
            features_pb2.PredictRequest(
                model="buys",
                entity_key=1,
                overrides=[features_pb2.FeatureOverride(name="view", int64_value=1)],
            ),
            INVALID,
            "'view' is no feature of 'buys'; close to it: views",
        ),
        (
            "FeatureService/ExplainPrediction",
            features_pb2.ExplainPredictionRequest(prediction_id="01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            NOT_FOUND,
            "no prediction named",
        ),
        (
            "ModelService/SetAlias",
            models_pb2.SetAliasRequest(model="buys", alias="chmpion", version=3),
            INVALID,
            "alias: 'chmpion' is none of champion, challenger",
        ),
        (
            "ModelService/SetAlias",
            models_pb2.SetAliasRequest(model="buys", alias="champion", version=9),
            NOT_FOUND,
            "no model version named 'buys/9'; close to it: buys/3",
        ),
        (
            "ModelService/SetAlias",
            models_pb2.SetAliasRequest(model="buys", alias="champion", version=1),
            PRECONDITION,
            "version 1 of 'buys' is a list of features; train it first",
        ),
        (
            "MonitorService/Retrain",
            monitor_pb2.RetrainRequest(model="listed"),
            PRECONDITION,
            "has no label; declare one in models.yaml to train it",
        ),
        (
            "MonitorService/DetectDrift",
            monitor_pb2.DetectDriftRequest(model="listed"),
            PRECONDITION,
            "has no label",
        ),
        (
            "ModelService/GetQuality",
            models_pb2.GetQualityRequest(model="listed"),
            PRECONDITION,
            "has no label in models.yaml",
        ),
        (
            "ModelService/GetQuality",
            models_pb2.GetQualityRequest(model="buys", version=9),
            NOT_FOUND,
            "buys/9",
        ),
    ],
)
def test_what_is_not_there_is_refused_with_what_to_do(
    engine: LearningEngine, method: str, request_: Any, code: grpc.StatusCode, text: str
) -> None:
    found, details = refusal(engine, method, request_)
    assert found is code
    assert text in details


def test_entities_without_data_are_predicted_among_others_from_what_is_missing(
    engine: LearningEngine,
) -> None:
    request = features_pb2.BatchPredictRequest(model="buys", entity_keys=[1, 10**12, -5])
    known, *unknown = engine.call("FeatureService/BatchPredict", request).predictions
    missing, present = features_pb2.FEATURE_STATUS_MISSING, features_pb2.FEATURE_STATUS_PRESENT
    assert {one.status for one in known.features} == {present}
    for prediction in unknown:
        assert {one.status for one in prediction.features} == {missing}
        assert 0 < prediction.score < 1


def test_trainings_called_for_at_once_are_one_and_all_callers_are_told_which(
    engine: LearningEngine,
) -> None:
    before = engine.model().latest_version
    with ThreadPoolExecutor(8) as callers:
        answers = [*callers.map(lambda _: engine.retrain(), range(8))]
    [job_id] = {answer[0] for answer in answers}
    assert [created for _, created in answers].count(True) == 1
    assert engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert engine.versions_of(job_id) == [before + 1]


def test_a_batch_is_answered_by_one_version_while_the_alias_moves_to_and_fro(
    engine: LearningEngine,
) -> None:
    # Of whom nothing is known: what a version says of them does not change with time.
    keys = range(10**6, 10**6 + 1_000)
    request = features_pb2.BatchPredictRequest(model="buys", entity_keys=keys)
    alone = {
        version: engine.predict(keys[0], version=version).prediction.score for version in (2, 3)
    }
    assert alone[2] != alone[3]
    with ThreadPoolExecutor(4) as callers:
        asked = [
            callers.submit(engine.call, "FeatureService/BatchPredict", request) for _ in range(24)
        ]
        for turn in range(8):
            engine.set_champion(3 - turn % 2)
        replies = [one.result() for one in asked]
    for reply in replies:
        assert {made.score for made in reply.predictions} == {alone[reply.model_version]}
    assert {reply.model_version for reply in replies} <= {2, 3}
