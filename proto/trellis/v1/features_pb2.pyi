import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeatureStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_STATUS_UNSPECIFIED: _ClassVar[FeatureStatus]
    FEATURE_STATUS_PRESENT: _ClassVar[FeatureStatus]
    FEATURE_STATUS_STALE: _ClassVar[FeatureStatus]
    FEATURE_STATUS_MISSING: _ClassVar[FeatureStatus]

class FeatureComparison(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_COMPARISON_UNSPECIFIED: _ClassVar[FeatureComparison]
    FEATURE_COMPARISON_EQUAL: _ClassVar[FeatureComparison]
    FEATURE_COMPARISON_DIFFERENT: _ClassVar[FeatureComparison]
    FEATURE_COMPARISON_OVERRIDDEN: _ClassVar[FeatureComparison]
    FEATURE_COMPARISON_EVENTS_MOVED: _ClassVar[FeatureComparison]
    FEATURE_COMPARISON_UNDEFINED: _ClassVar[FeatureComparison]
FEATURE_STATUS_UNSPECIFIED: FeatureStatus
FEATURE_STATUS_PRESENT: FeatureStatus
FEATURE_STATUS_STALE: FeatureStatus
FEATURE_STATUS_MISSING: FeatureStatus
FEATURE_COMPARISON_UNSPECIFIED: FeatureComparison
FEATURE_COMPARISON_EQUAL: FeatureComparison
FEATURE_COMPARISON_DIFFERENT: FeatureComparison
FEATURE_COMPARISON_OVERRIDDEN: FeatureComparison
FEATURE_COMPARISON_EVENTS_MOVED: FeatureComparison
FEATURE_COMPARISON_UNDEFINED: FeatureComparison

class FeatureValue(_message.Message):
    __slots__ = ("name", "int64_value", "double_value", "string_value", "bool_value", "status", "event_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INT64_VALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    int64_value: int
    double_value: float
    string_value: str
    bool_value: bool
    status: FeatureStatus
    event_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., int64_value: _Optional[int] = ..., double_value: _Optional[float] = ..., string_value: _Optional[str] = ..., bool_value: _Optional[bool] = ..., status: _Optional[_Union[FeatureStatus, str]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetFeaturesRequest(_message.Message):
    __slots__ = ("model", "version", "features", "entity_key", "as_of", "commit_seq")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    features: _containers.RepeatedScalarFieldContainer[str]
    entity_key: int
    as_of: _timestamp_pb2.Timestamp
    commit_seq: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., entity_key: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., commit_seq: _Optional[int] = ...) -> None: ...

class GetFeaturesResponse(_message.Message):
    __slots__ = ("model", "model_version", "entity_key", "as_of", "commit_seq", "features")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: int
    entity_key: int
    as_of: _timestamp_pb2.Timestamp
    commit_seq: int
    features: _containers.RepeatedCompositeFieldContainer[FeatureValue]
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[int] = ..., entity_key: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., commit_seq: _Optional[int] = ..., features: _Optional[_Iterable[_Union[FeatureValue, _Mapping]]] = ...) -> None: ...

class BatchGetFeaturesRequest(_message.Message):
    __slots__ = ("model", "version", "features", "entity_keys", "as_of")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEYS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    features: _containers.RepeatedScalarFieldContainer[str]
    entity_keys: _containers.RepeatedScalarFieldContainer[int]
    as_of: _timestamp_pb2.Timestamp
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., entity_keys: _Optional[_Iterable[int]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EntityFeatures(_message.Message):
    __slots__ = ("entity_key", "commit_seq", "features")
    ENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    entity_key: int
    commit_seq: int
    features: _containers.RepeatedCompositeFieldContainer[FeatureValue]
    def __init__(self, entity_key: _Optional[int] = ..., commit_seq: _Optional[int] = ..., features: _Optional[_Iterable[_Union[FeatureValue, _Mapping]]] = ...) -> None: ...

class BatchGetFeaturesResponse(_message.Message):
    __slots__ = ("model", "model_version", "as_of", "rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: int
    as_of: _timestamp_pb2.Timestamp
    rows: _containers.RepeatedCompositeFieldContainer[EntityFeatures]
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows: _Optional[_Iterable[_Union[EntityFeatures, _Mapping]]] = ...) -> None: ...

class FeatureOverride(_message.Message):
    __slots__ = ("name", "int64_value", "double_value", "string_value", "bool_value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INT64_VALUE_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    STRING_VALUE_FIELD_NUMBER: _ClassVar[int]
    BOOL_VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    int64_value: int
    double_value: float
    string_value: str
    bool_value: bool
    def __init__(self, name: _Optional[str] = ..., int64_value: _Optional[int] = ..., double_value: _Optional[float] = ..., string_value: _Optional[str] = ..., bool_value: _Optional[bool] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("model", "version", "entity_key", "overrides")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    OVERRIDES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    entity_key: int
    overrides: _containers.RepeatedCompositeFieldContainer[FeatureOverride]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., entity_key: _Optional[int] = ..., overrides: _Optional[_Iterable[_Union[FeatureOverride, _Mapping]]] = ...) -> None: ...

class ClassProbability(_message.Message):
    __slots__ = ("label", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    probability: float
    def __init__(self, label: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("prediction_id", "entity_key", "label", "score", "probabilities", "commit_seq", "features", "overridden")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    entity_key: int
    label: str
    score: float
    probabilities: _containers.RepeatedCompositeFieldContainer[ClassProbability]
    commit_seq: int
    features: _containers.RepeatedCompositeFieldContainer[FeatureValue]
    overridden: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, prediction_id: _Optional[str] = ..., entity_key: _Optional[int] = ..., label: _Optional[str] = ..., score: _Optional[float] = ..., probabilities: _Optional[_Iterable[_Union[ClassProbability, _Mapping]]] = ..., commit_seq: _Optional[int] = ..., features: _Optional[_Iterable[_Union[FeatureValue, _Mapping]]] = ..., overridden: _Optional[_Iterable[str]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("model", "model_version", "as_of", "prediction")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: int
    as_of: _timestamp_pb2.Timestamp
    prediction: Prediction
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., prediction: _Optional[_Union[Prediction, _Mapping]] = ...) -> None: ...

class BatchPredictRequest(_message.Message):
    __slots__ = ("model", "version", "entity_keys")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEYS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    entity_keys: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., entity_keys: _Optional[_Iterable[int]] = ...) -> None: ...

class BatchPredictResponse(_message.Message):
    __slots__ = ("model", "model_version", "as_of", "predictions")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: int
    as_of: _timestamp_pb2.Timestamp
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ...) -> None: ...

class ExplainPredictionRequest(_message.Message):
    __slots__ = ("prediction_id",)
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    def __init__(self, prediction_id: _Optional[str] = ...) -> None: ...

class EntityEvent(_message.Message):
    __slots__ = ("action", "event_time", "value", "commit_seq", "features")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    action: str
    event_time: _timestamp_pb2.Timestamp
    value: float
    commit_seq: int
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, action: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., commit_seq: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplainedFeature(_message.Message):
    __slots__ = ("given", "rebuilt", "overridden", "equal", "comparison")
    GIVEN_FIELD_NUMBER: _ClassVar[int]
    REBUILT_FIELD_NUMBER: _ClassVar[int]
    OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    given: FeatureValue
    rebuilt: FeatureValue
    overridden: bool
    equal: bool
    comparison: FeatureComparison
    def __init__(self, given: _Optional[_Union[FeatureValue, _Mapping]] = ..., rebuilt: _Optional[_Union[FeatureValue, _Mapping]] = ..., overridden: _Optional[bool] = ..., equal: _Optional[bool] = ..., comparison: _Optional[_Union[FeatureComparison, str]] = ...) -> None: ...

class ExplainPredictionResponse(_message.Message):
    __slots__ = ("model", "model_version", "predicted_at", "prediction", "features", "reproduced", "events", "events_moved_before")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_AT_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    REPRODUCED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_MOVED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: int
    predicted_at: _timestamp_pb2.Timestamp
    prediction: Prediction
    features: _containers.RepeatedCompositeFieldContainer[ExplainedFeature]
    reproduced: bool
    events: _containers.RepeatedCompositeFieldContainer[EntityEvent]
    events_moved_before: _timestamp_pb2.Timestamp
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[int] = ..., predicted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., prediction: _Optional[_Union[Prediction, _Mapping]] = ..., features: _Optional[_Iterable[_Union[ExplainedFeature, _Mapping]]] = ..., reproduced: _Optional[bool] = ..., events: _Optional[_Iterable[_Union[EntityEvent, _Mapping]]] = ..., events_moved_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
