"""Predictions as messages. On the path of every Predict, so it counts microseconds."""

from typing import Any

from engine.features.values import Value
from engine.models import ModelVersion
from engine.services.feature_rows import fill, set_time
from engine.serving.explaining import Comparison, ExplainedFeature, Explanation
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
    if found.moved_before_us is not None:
        set_time(reply.events_moved_before, found.moved_before_us)
    prediction = reply.prediction
    prediction.prediction_id = found.prediction_id
    prediction.entity_key = found.entity_key
    prediction.commit_seq = found.commit_seq
    _set_score(prediction, found.score)
    for one in found.features:
        explained = _encode_explained(one)
        reply.features.append(explained)
        prediction.features.append(explained.given)
        if explained.overridden:
            prediction.overridden.append(one.name)
    for event in found.events:
        behind = reply.events.add(
            action=event.action, commit_seq=event.commit_seq, features=event.features
        )
        set_time(behind.event_time, event.event_time_us)
        if event.value is not None:
            behind.value = event.value
    return reply


def _encode_explained(one: ExplainedFeature) -> pb.ExplainedFeature:
    equal = one.comparison is Comparison.EQUAL
    message = pb.ExplainedFeature(
        overridden=one.comparison is Comparison.OVERRIDDEN,
        equal=equal,
        comparison=_COMPARISON_OF[one.comparison],
    )
    message.given.name = one.name
    set_given(message.given, one.given)
    if one.rebuilt is not None:
        message.rebuilt.name = one.name
        fill([message.rebuilt], [one.rebuilt])
    if not message.overridden:
        message.given.status = _STATUS_OF[one.status]
        # When it was given is not kept; one that is equal rests on the same.
        if equal and message.rebuilt.HasField("event_time"):
            message.given.event_time.CopyFrom(message.rebuilt.event_time)
    return message


_COMPARISON_OF = {
    Comparison.EQUAL: pb.FEATURE_COMPARISON_EQUAL,
    Comparison.DIFFERENT: pb.FEATURE_COMPARISON_DIFFERENT,
    Comparison.OVERRIDDEN: pb.FEATURE_COMPARISON_OVERRIDDEN,
    Comparison.EVENTS_MOVED: pb.FEATURE_COMPARISON_EVENTS_MOVED,
    Comparison.UNDEFINED: pb.FEATURE_COMPARISON_UNDEFINED,
}

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
    fill(message.features, row.values)
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
