from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ArtifactPart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARTIFACT_PART_UNSPECIFIED: _ClassVar[ArtifactPart]
    ARTIFACT_PART_PIPELINE: _ClassVar[ArtifactPart]
    ARTIFACT_PART_REFERENCE: _ClassVar[ArtifactPart]
ARTIFACT_PART_UNSPECIFIED: ArtifactPart
ARTIFACT_PART_PIPELINE: ArtifactPart
ARTIFACT_PART_REFERENCE: ArtifactPart

class Lease(_message.Message):
    __slots__ = ("worker_id", "job_id", "token")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    job_id: str
    token: str
    def __init__(self, worker_id: _Optional[str] = ..., job_id: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class ReadRowsRequest(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class ReadRowsResponse(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class ReadArtifactRequest(_message.Message):
    __slots__ = ("lease", "model", "version", "part")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    model: str
    version: int
    part: ArtifactPart
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., part: _Optional[_Union[ArtifactPart, str]] = ...) -> None: ...

class ReadArtifactResponse(_message.Message):
    __slots__ = ("content", "sha256")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    sha256: str
    def __init__(self, content: _Optional[bytes] = ..., sha256: _Optional[str] = ...) -> None: ...

class StoreArtifactRequest(_message.Message):
    __slots__ = ("lease", "part", "content")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    part: ArtifactPart
    content: bytes
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., part: _Optional[_Union[ArtifactPart, str]] = ..., content: _Optional[bytes] = ...) -> None: ...

class StoreArtifactResponse(_message.Message):
    __slots__ = ("name", "sha256", "size_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class ExchangeBatchRequest(_message.Message):
    __slots__ = ("lease", "batch", "predictions", "error_code", "error", "wait_ms", "loaded")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    batch: int
    predictions: bytes
    error_code: str
    error: str
    wait_ms: int
    loaded: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., batch: _Optional[int] = ..., predictions: _Optional[bytes] = ..., error_code: _Optional[str] = ..., error: _Optional[str] = ..., wait_ms: _Optional[int] = ..., loaded: _Optional[_Iterable[str]] = ...) -> None: ...

class ExchangeBatchResponse(_message.Message):
    __slots__ = ("batch", "model", "version", "rows", "forget", "leave", "request_ids", "trace_ids")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_IDS_FIELD_NUMBER: _ClassVar[int]
    TRACE_IDS_FIELD_NUMBER: _ClassVar[int]
    batch: int
    model: str
    version: int
    rows: bytes
    forget: _containers.RepeatedScalarFieldContainer[str]
    leave: bool
    request_ids: _containers.RepeatedScalarFieldContainer[str]
    trace_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, batch: _Optional[int] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., rows: _Optional[bytes] = ..., forget: _Optional[_Iterable[str]] = ..., leave: _Optional[bool] = ..., request_ids: _Optional[_Iterable[str]] = ..., trace_ids: _Optional[_Iterable[str]] = ...) -> None: ...
