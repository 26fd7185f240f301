from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class BeginBackupRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BeginBackupResponse(_message.Message):
    __slots__ = ("backup_id", "lease_ms", "data_file", "data_bytes", "wal_bytes", "commit_seq", "row_counts")
    class RowCountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    DATA_FILE_FIELD_NUMBER: _ClassVar[int]
    DATA_BYTES_FIELD_NUMBER: _ClassVar[int]
    WAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMMIT_SEQ_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNTS_FIELD_NUMBER: _ClassVar[int]
    backup_id: str
    lease_ms: int
    data_file: str
    data_bytes: int
    wal_bytes: int
    commit_seq: int
    row_counts: _containers.ScalarMap[str, int]
    def __init__(self, backup_id: _Optional[str] = ..., lease_ms: _Optional[int] = ..., data_file: _Optional[str] = ..., data_bytes: _Optional[int] = ..., wal_bytes: _Optional[int] = ..., commit_seq: _Optional[int] = ..., row_counts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class KeepBackupRequest(_message.Message):
    __slots__ = ("backup_id",)
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    backup_id: str
    def __init__(self, backup_id: _Optional[str] = ...) -> None: ...

class KeepBackupResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndBackupRequest(_message.Message):
    __slots__ = ("backup_id",)
    BACKUP_ID_FIELD_NUMBER: _ClassVar[int]
    backup_id: str
    def __init__(self, backup_id: _Optional[str] = ...) -> None: ...

class EndBackupResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
