"""Predictions by a real engine and a real worker: what they say, and what is kept of them."""

import struct

import grpc
import pytest

from proto.trellis.v1 import features_pb2 as pb
from tests.support.serving_engine import ServingEngine, serving_engine, wait_until
from tests.support.trained_version import CHALLENGER, CHAMPION


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with serving_engine(
        tmp_path_factory.mktemp("predictions"), scorers=1, promotions=(CHAMPION, CHALLENGER)
    ) as running:
        running.predict(timeout_s=90.0)
        yield running


def explain(engine: ServingEngine, prediction_id: str) -> pb.ExplainPredictionResponse:
    request = pb.ExplainPredictionRequest(prediction_id=prediction_id)
    return engine.call("FeatureService/ExplainPrediction", request)


def override(name: str, **value) -> pb.FeatureOverride:
    return pb.FeatureOverride(name=name, **value)


def test_an_entity_without_data_is_predicted_from_what_is_missing(engine):
    reply = engine.predict(404)
    made = reply.prediction
    assert (reply.model, reply.model_version, made.entity_key) == ("buys", 2, 404)
    assert [one.name for one in made.features] == ["views", "spend", "last_action"]
    assert {one.status for one in made.features} == {pb.FEATURE_STATUS_MISSING}
    by_label = {one.label: one.probability for one in made.probabilities}
    assert set(by_label) == {"false", "true"}
    assert sum(by_label.values()) == pytest.approx(1.0)
    assert made.score == by_label["true"]
    assert made.label == max(by_label, key=by_label.get)


def test_overridden_features_count_and_are_named(engine):
    plain = engine.predict(1).prediction
    changed = engine.predict(
        1,
        overrides=[
            override("views", int64_value=500),
            override("spend", double_value=1.5),
            override("last_action"),
        ],
    ).prediction
    assert changed.score != plain.score
    assert list(changed.overridden) == ["views", "spend", "last_action"]
    given = {one.name: one for one in changed.features}
    assert given["views"].int64_value == 500
    assert given["spend"].double_value == 1.5
    assert given["last_action"].status == pb.FEATURE_STATUS_MISSING


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ([override("view", int64_value=1)], "close to it: views"),
        ([override("views", double_value=1.0)], "'views' is of type int64; set int64_value"),
        ([override("spend", double_value=float("nan"))], "not a finite number"),
        ([override("views"), override("views")], "is there twice"),
        ([override("last_action", string_value="x" * 4_097)], "at most 4096"),
    ],
)
def test_an_override_that_is_none_is_refused(engine, overrides, text):
    code, details = engine.refusal(overrides=overrides)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("overrides: ")
    assert text in details


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        ({"model": "bus"}, grpc.StatusCode.NOT_FOUND, "close to it: buys"),
        ({"version": 9}, grpc.StatusCode.NOT_FOUND, "buys/9"),
        ({"version": -1}, grpc.StatusCode.INVALID_ARGUMENT, "version"),
        ({"version": 1}, grpc.StatusCode.FAILED_PRECONDITION, "train it first"),
        ({"model": "named"}, grpc.StatusCode.FAILED_PRECONDITION, "was never trained"),
        ({"entity_key": None}, grpc.StatusCode.INVALID_ARGUMENT, "entity_key"),
    ],
)
def test_what_cannot_be_predicted_is_refused_with_what_to_do(engine, more, code, text):
    found, details = engine.refusal(**more)
    assert found is code
    assert text in details


def test_many_entities_are_predicted_by_one_version_and_in_order(engine):
    keys = [*range(400), 7, 7]
    request = pb.BatchPredictRequest(model="buys", entity_keys=keys)
    reply = engine.call("FeatureService/BatchPredict", request)
    assert [one.entity_key for one in reply.predictions] == keys
    assert len({one.prediction_id for one in reply.predictions}) == len(keys)
    assert {one.score for one in reply.predictions} == {engine.predict(9).prediction.score}


def test_a_named_version_predicts_beside_the_champion(engine):
    champion, challenger = engine.predict(5), engine.predict(5, version=3)
    assert (champion.model_version, challenger.model_version) == (2, 3)
    assert champion.prediction.score != challenger.prediction.score


def test_a_prediction_is_explained_to_the_last_bit(engine):
    made = engine.predict(11, overrides=[override("spend", double_value=0.1 + 0.2)]).prediction
    found = explain(engine, made.prediction_id)
    assert (found.model, found.model_version, found.reproduced) == ("buys", 2, True)
    assert found.prediction.score == made.score
    assert found.prediction.label == made.label
    assert found.prediction.commit_seq == made.commit_seq
    assert list(found.prediction.probabilities) == list(made.probabilities)
    [views, spend, last_action] = found.features
    assert (views.overridden, spend.overridden, last_action.overridden) == (False, True, False)
    assert struct.pack("d", spend.given.double_value) == struct.pack("d", 0.1 + 0.2)
    assert views.equal
    assert not spend.equal


def test_what_was_not_predicted_cannot_be_explained(engine):
    for prediction_id in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"):
        with pytest.raises(grpc.RpcError) as raised:
            explain(engine, prediction_id)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_challenger_scores_unseen_what_the_champion_is_given(engine):
    def shadows() -> float:
        return engine.metric('trellis_predictions_total{model="buys",outcome="shadow",version="3"}')

    before = shadows()
    for key in range(20):
        assert engine.predict(key).model_version == 2
    wait_until(lambda: shadows() >= before + 20, 10.0)
