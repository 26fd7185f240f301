"""Feature rows as messages. On the path of every GetFeatures, so it counts microseconds."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from engine.features.values import FeatureRow, FeatureValue, Status
from proto.trellis.v1 import features_pb2

_STATUS = {
    Status.PRESENT: features_pb2.FEATURE_STATUS_PRESENT,
    Status.STALE: features_pb2.FEATURE_STATUS_STALE,
    Status.MISSING: features_pb2.FEATURE_STATUS_MISSING,
}
_MICROSECONDS = 1_000_000


class RowEncoder:
    """Encodes rows of one list of features.

    Replies are copied from a template that holds what does not change, the model and the names:
    cheaper than setting them again for each.
    """

    def __init__(self, names: tuple[str, ...], model: str = "", version: int = 0) -> None:
        values = [features_pb2.FeatureValue(name=name) for name in names]
        self.names = names
        self._reply = features_pb2.GetFeaturesResponse(
            model=model, model_version=version, features=values
        )
        self._batch = features_pb2.BatchGetFeaturesResponse(model=model, model_version=version)
        self._row = features_pb2.EntityFeatures(features=values)

    def encode_row(self, row: FeatureRow) -> features_pb2.GetFeaturesResponse:
        """Return the reply for one entity."""
        reply = features_pb2.GetFeaturesResponse()
        reply.CopyFrom(self._reply)
        reply.entity_key = row.entity_key
        reply.commit_seq = row.commit_seq
        set_time(reply.as_of, row.as_of_us)
        fill(reply.features, row.values)
        return reply

    def encode_rows(self, rows: list[FeatureRow]) -> features_pb2.BatchGetFeaturesResponse:
        """Return the reply for many entities, all at one moment; at least one."""
        reply = features_pb2.BatchGetFeaturesResponse()
        reply.CopyFrom(self._batch)
        set_time(reply.as_of, rows[0].as_of_us)
        for row in rows:
            encoded = reply.rows.add()
            encoded.CopyFrom(self._row)
            encoded.entity_key = row.entity_key
            encoded.commit_seq = row.commit_seq
            fill(encoded.features, row.values)
        return reply


def set_time(timestamp: Timestamp, time_us: int) -> None:
    """Set a message's timestamp field to a time in microseconds since 1970, UTC."""
    timestamp.seconds, microseconds = divmod(time_us, _MICROSECONDS)
    timestamp.nanos = microseconds * 1_000


def fill(messages: Any, values: Iterable[FeatureValue]) -> None:
    """Set values, statuses and times of messages that have their names."""
    for message, given in zip(messages, values, strict=True):
        message.status = _STATUS[given.status]
        value = given.value
        kind = type(value)
        if kind is int:
            message.int64_value = value
        elif kind is float:
            message.double_value = value
        elif kind is str:
            message.string_value = value
        elif kind is bool:
            message.bool_value = value
        time_us = given.event_time_us
        if time_us is not None:
            set_time(message.event_time, time_us)
