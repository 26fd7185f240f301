import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HistoryTable(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HISTORY_TABLE_UNSPECIFIED: _ClassVar[HistoryTable]
    HISTORY_TABLE_EVENTS: _ClassVar[HistoryTable]
    HISTORY_TABLE_PREDICTIONS: _ClassVar[HistoryTable]

class ArchiveState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARCHIVE_STATE_UNSPECIFIED: _ClassVar[ArchiveState]
    ARCHIVE_STATE_PLANNED: _ClassVar[ArchiveState]
    ARCHIVE_STATE_STORED: _ClassVar[ArchiveState]
HISTORY_TABLE_UNSPECIFIED: HistoryTable
HISTORY_TABLE_EVENTS: HistoryTable
HISTORY_TABLE_PREDICTIONS: HistoryTable
ARCHIVE_STATE_UNSPECIFIED: ArchiveState
ARCHIVE_STATE_PLANNED: ArchiveState
ARCHIVE_STATE_STORED: ArchiveState

class Archive(_message.Message):
    __slots__ = ("archive_id", "table", "state", "planned_at", "stored_at", "first_time", "last_time", "until_time", "last_commit_seq", "row_count", "blob", "size_bytes", "sha256", "kept_json")
    ARCHIVE_ID_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PLANNED_AT_FIELD_NUMBER: _ClassVar[int]
    STORED_AT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    KEPT_JSON_FIELD_NUMBER: _ClassVar[int]
    archive_id: str
    table: str
    state: ArchiveState
    planned_at: _timestamp_pb2.Timestamp
    stored_at: _timestamp_pb2.Timestamp
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    last_commit_seq: int
    row_count: int
    blob: str
    size_bytes: int
    sha256: str
    kept_json: str
    def __init__(self, archive_id: _Optional[str] = ..., table: _Optional[str] = ..., state: _Optional[_Union[ArchiveState, str]] = ..., planned_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stored_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_commit_seq: _Optional[int] = ..., row_count: _Optional[int] = ..., blob: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., kept_json: _Optional[str] = ...) -> None: ...

class ListArchivesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "table")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    table: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., table: _Optional[str] = ...) -> None: ...

class ListArchivesResponse(_message.Message):
    __slots__ = ("archives", "next_page_token")
    ARCHIVES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    archives: _containers.RepeatedCompositeFieldContainer[Archive]
    next_page_token: str
    def __init__(self, archives: _Optional[_Iterable[_Union[Archive, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReadHistoryRequest(_message.Message):
    __slots__ = ("table", "entity_key", "from_time", "until_time", "limit")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    table: HistoryTable
    entity_key: int
    from_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    limit: int
    def __init__(self, table: _Optional[_Union[HistoryTable, str]] = ..., entity_key: _Optional[int] = ..., from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class StoredEvent(_message.Message):
    __slots__ = ("user_id", "action", "event_time", "ingest_time", "value", "properties_json", "topic", "partition", "offset", "commit_seq")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    INGEST_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_JSON_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    user_id: int
    action: str
    event_time: _timestamp_pb2.Timestamp
    ingest_time: _timestamp_pb2.Timestamp
    value: float
    properties_json: str
    topic: str
    partition: int
    offset: int
    commit_seq: int
    def __init__(self, user_id: _Optional[int] = ..., action: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ingest_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., properties_json: _Optional[str] = ..., topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., commit_seq: _Optional[int] = ...) -> None: ...

class StoredPrediction(_message.Message):
    __slots__ = ("prediction_id", "predicted_at", "model", "version", "entity_key", "as_of", "feature_commit_seq", "inputs_json", "statuses", "prediction", "score", "probabilities_json", "shadow", "request_id", "commit_seq")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_AT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    INPUTS_JSON_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_JSON_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    predicted_at: _timestamp_pb2.Timestamp
    model: str
    version: int
    entity_key: int
    as_of: _timestamp_pb2.Timestamp
    feature_commit_seq: int
    inputs_json: str
    statuses: str
    prediction: str
    score: float
    probabilities_json: str
    shadow: bool
    request_id: str
    commit_seq: int
    def __init__(self, prediction_id: _Optional[str] = ..., predicted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., entity_key: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., feature_commit_seq: _Optional[int] = ..., inputs_json: _Optional[str] = ..., statuses: _Optional[str] = ..., prediction: _Optional[str] = ..., score: _Optional[float] = ..., probabilities_json: _Optional[str] = ..., shadow: _Optional[bool] = ..., request_id: _Optional[str] = ..., commit_seq: _Optional[int] = ...) -> None: ...

class ReadHistoryResponse(_message.Message):
    __slots__ = ("events", "predictions", "commit_seq", "rows_scanned", "rows_to_scan")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    ROWS_SCANNED_FIELD_NUMBER: _ClassVar[int]
    ROWS_TO_SCAN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[StoredEvent]
    predictions: _containers.RepeatedCompositeFieldContainer[StoredPrediction]
    commit_seq: int
    rows_scanned: int
    rows_to_scan: int
    def __init__(self, events: _Optional[_Iterable[_Union[StoredEvent, _Mapping]]] = ..., predictions: _Optional[_Iterable[_Union[StoredPrediction, _Mapping]]] = ..., commit_seq: _Optional[int] = ..., rows_scanned: _Optional[int] = ..., rows_to_scan: _Optional[int] = ...) -> None: ...
