import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DriftVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRIFT_VERDICT_UNSPECIFIED: _ClassVar[DriftVerdict]
    DRIFT_VERDICT_STABLE: _ClassVar[DriftVerdict]
    DRIFT_VERDICT_DRIFTED: _ClassVar[DriftVerdict]
DRIFT_VERDICT_UNSPECIFIED: DriftVerdict
DRIFT_VERDICT_STABLE: DriftVerdict
DRIFT_VERDICT_DRIFTED: DriftVerdict

class Distribution(_message.Message):
    __slots__ = ("edges", "categories", "shares")
    EDGES_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    edges: _containers.RepeatedScalarFieldContainer[float]
    categories: _containers.RepeatedScalarFieldContainer[str]
    shares: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, edges: _Optional[_Iterable[float]] = ..., categories: _Optional[_Iterable[str]] = ..., shares: _Optional[_Iterable[float]] = ...) -> None: ...

class FeatureDrift(_message.Message):
    __slots__ = ("feature", "kind", "reference_rows", "current_rows", "psi", "ks_statistic", "ks_p_value", "chi_squared", "chi_squared_p_value", "adjusted_p_value", "wasserstein", "reference_missing_rate", "current_missing_rate", "new_categories", "drifted", "reasons", "reference", "current", "missing_p_value", "adjusted_missing_p_value")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_ROWS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_ROWS_FIELD_NUMBER: _ClassVar[int]
    PSI_FIELD_NUMBER: _ClassVar[int]
    KS_STATISTIC_FIELD_NUMBER: _ClassVar[int]
    KS_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    CHI_SQUARED_FIELD_NUMBER: _ClassVar[int]
    CHI_SQUARED_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    WASSERSTEIN_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_MISSING_RATE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_MISSING_RATE_FIELD_NUMBER: _ClassVar[int]
    NEW_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    DRIFTED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    MISSING_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_MISSING_P_VALUE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    kind: str
    reference_rows: int
    current_rows: int
    psi: float
    ks_statistic: float
    ks_p_value: float
    chi_squared: float
    chi_squared_p_value: float
    adjusted_p_value: float
    wasserstein: float
    reference_missing_rate: float
    current_missing_rate: float
    new_categories: _containers.RepeatedScalarFieldContainer[str]
    drifted: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    reference: Distribution
    current: Distribution
    missing_p_value: float
    adjusted_missing_p_value: float
    def __init__(self, feature: _Optional[str] = ..., kind: _Optional[str] = ..., reference_rows: _Optional[int] = ..., current_rows: _Optional[int] = ..., psi: _Optional[float] = ..., ks_statistic: _Optional[float] = ..., ks_p_value: _Optional[float] = ..., chi_squared: _Optional[float] = ..., chi_squared_p_value: _Optional[float] = ..., adjusted_p_value: _Optional[float] = ..., wasserstein: _Optional[float] = ..., reference_missing_rate: _Optional[float] = ..., current_missing_rate: _Optional[float] = ..., new_categories: _Optional[_Iterable[str]] = ..., drifted: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ..., reference: _Optional[_Union[Distribution, _Mapping]] = ..., current: _Optional[_Union[Distribution, _Mapping]] = ..., missing_p_value: _Optional[float] = ..., adjusted_missing_p_value: _Optional[float] = ...) -> None: ...

class DriftReport(_message.Message):
    __slots__ = ("report_id", "model", "model_version", "cause", "checked_at", "window_start", "window_end", "rows", "verdict", "features", "retrain_job_id", "not_retrained_because", "job_id", "not_compared")
    class NotComparedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REPORT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    RETRAIN_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NOT_RETRAINED_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    NOT_COMPARED_FIELD_NUMBER: _ClassVar[int]
    report_id: str
    model: str
    model_version: int
    cause: str
    checked_at: _timestamp_pb2.Timestamp
    window_start: _timestamp_pb2.Timestamp
    window_end: _timestamp_pb2.Timestamp
    rows: int
    verdict: DriftVerdict
    features: _containers.RepeatedCompositeFieldContainer[FeatureDrift]
    retrain_job_id: str
    not_retrained_because: str
    job_id: str
    not_compared: _containers.ScalarMap[str, str]
    def __init__(self, report_id: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[int] = ..., cause: _Optional[str] = ..., checked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows: _Optional[int] = ..., verdict: _Optional[_Union[DriftVerdict, str]] = ..., features: _Optional[_Iterable[_Union[FeatureDrift, _Mapping]]] = ..., retrain_job_id: _Optional[str] = ..., not_retrained_because: _Optional[str] = ..., job_id: _Optional[str] = ..., not_compared: _Optional[_Mapping[str, str]] = ...) -> None: ...

class DetectDriftRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class DetectDriftResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: DriftReport
    def __init__(self, report: _Optional[_Union[DriftReport, _Mapping]] = ...) -> None: ...

class ListDriftReportsRequest(_message.Message):
    __slots__ = ("model", "page_size", "page_token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    page_size: int
    page_token: str
    def __init__(self, model: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDriftReportsResponse(_message.Message):
    __slots__ = ("reports", "next_page_token")
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[DriftReport]
    next_page_token: str
    def __init__(self, reports: _Optional[_Iterable[_Union[DriftReport, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RetrainRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class RetrainResponse(_message.Message):
    __slots__ = ("job_id", "created")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    created: bool
    def __init__(self, job_id: _Optional[str] = ..., created: _Optional[bool] = ...) -> None: ...
