"""Predictions as messages. On the path of every Predict, so it counts microseconds."""

from typing import Any

from engine.features.values import Value
from engine.models import ModelVersion
from engine.services.feature_rows import fill, set_time
from engine.serving.explaining import Explanation
from engine.serving.plans import OVERRIDDEN
from engine.serving.predictor import Prediction
from engine.serving.rows import Score
from proto.trellis.v1 import features_pb2 as pb


class PredictionEncoder:
    """Encodes predictions of one version, from a template with the names of its features."""

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self._reply = pb.PredictResponse(
            model=version.model,
            model_version=version.version,
            prediction=pb.Prediction(
                features=[pb.FeatureValue(name=name) for name in version.features]
            ),
        )

    def encode_one(self, made: Prediction) -> pb.PredictResponse:
        """Return the reply for one entity."""
        reply = pb.PredictResponse()
        reply.CopyFrom(self._reply)
        set_time(reply.as_of, made.row.as_of_us)
        _fill(reply.prediction, made)
        return reply

    def encode_many(self, made: list[Prediction]) -> pb.BatchPredictResponse:
        """Return the reply for many entities, all at one moment; at least one."""
        reply = pb.BatchPredictResponse(
            model=self.version.model, model_version=self.version.version
        )
        set_time(reply.as_of, made[0].row.as_of_us)
        template = self._reply.prediction
        for one in made:
            message = reply.predictions.add()
            message.CopyFrom(template)
            _fill(message, one)
        return reply


def encode_explanation(found: Explanation) -> pb.ExplainPredictionResponse:
    """Return the reply about a prediction."""
    reply = pb.ExplainPredictionResponse(
        model=found.model, model_version=found.version, reproduced=found.reproduced
    )
    set_time(reply.predicted_at, found.predicted_at_us)
    row = found.rebuilt
    prediction = reply.prediction
    prediction.prediction_id = found.prediction_id
    prediction.entity_key = row.entity_key
    prediction.commit_seq = row.commit_seq
    _set_score(prediction, found.score)
    rebuilt = [pb.FeatureValue(name=value.name) for value in row.values]
    fill(rebuilt, row)
    for message, given, letter, equal in zip(
        rebuilt, found.given, found.statuses, found.equal, strict=True
    ):
        overridden = letter == OVERRIDDEN
        was = pb.FeatureValue(name=message.name)
        set_given(was, given)
        if not overridden:
            was.status = _STATUS_OF[letter]
            if equal and message.HasField("event_time"):
                was.event_time.CopyFrom(message.event_time)
        reply.features.add(given=was, rebuilt=message, overridden=overridden, equal=equal)
        prediction.features.add().CopyFrom(was)
        if overridden:
            prediction.overridden.append(message.name)
    for event in found.events:
        one = reply.events.add(
            action=event.action, commit_seq=event.commit_seq, features=event.features
        )
        set_time(one.event_time, event.event_time_us)
        if event.value is not None:
            one.value = event.value
    return reply


_STATUS_OF = {
    "P": pb.FEATURE_STATUS_PRESENT,
    "S": pb.FEATURE_STATUS_STALE,
    "M": pb.FEATURE_STATUS_MISSING,
}


def set_given(message: Any, value: Value | None) -> None:
    """Set a feature's message to a value that was given for it; None: it is missing."""
    match value:
        case None:
            message.status = pb.FEATURE_STATUS_MISSING
            return
        case bool():
            message.bool_value = value
        case int():
            message.int64_value = value
        case float():
            message.double_value = value
        case str():
            message.string_value = value
    message.status = pb.FEATURE_STATUS_PRESENT


def _fill(message: Any, made: Prediction) -> None:
    row = made.row
    message.prediction_id = made.prediction_id
    message.entity_key = row.entity_key
    message.commit_seq = row.commit_seq
    _set_score(message, made.score)
    fill(message.features, row)
    if made.overrides:
        for one in message.features:
            if one.name in made.overrides:
                name = one.name
                one.Clear()
                one.name = name
                set_given(one, made.overrides[name])
                message.overridden.append(name)


def _set_score(message: Any, score: Score) -> None:
    message.score = score.score
    if score.classes:
        message.label = score.label
        for label, probability in zip(score.classes, score.probabilities, strict=True):
            message.probabilities.add(label=label, probability=probability)
