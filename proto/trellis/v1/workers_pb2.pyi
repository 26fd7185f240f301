import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_CONTINUE: _ClassVar[Verdict]
    VERDICT_CANCEL_JOB: _ClassVar[Verdict]
    VERDICT_RESTART: _ClassVar[Verdict]
    VERDICT_DRAIN: _ClassVar[Verdict]
    VERDICT_DIE: _ClassVar[Verdict]
VERDICT_UNSPECIFIED: Verdict
VERDICT_CONTINUE: Verdict
VERDICT_CANCEL_JOB: Verdict
VERDICT_RESTART: Verdict
VERDICT_DRAIN: Verdict
VERDICT_DIE: Verdict

class CheckRequest(_message.Message):
    __slots__ = ("worker_id", "token", "progress", "progress_total", "progress_note", "memory_bytes", "jobs_done", "counters", "still_ms")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_NOTE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    JOBS_DONE_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    STILL_MS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    token: str
    progress: int
    progress_total: int
    progress_note: str
    memory_bytes: int
    jobs_done: int
    counters: _containers.ScalarMap[str, float]
    still_ms: int
    def __init__(self, worker_id: _Optional[str] = ..., token: _Optional[str] = ..., progress: _Optional[int] = ..., progress_total: _Optional[int] = ..., progress_note: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., jobs_done: _Optional[int] = ..., counters: _Optional[_Mapping[str, float]] = ..., still_ms: _Optional[int] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("verdict", "cancel_token", "again_ms")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AGAIN_MS_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    cancel_token: str
    again_ms: int
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., cancel_token: _Optional[str] = ..., again_ms: _Optional[int] = ...) -> None: ...

class TakeJobsRequest(_message.Message):
    __slots__ = ("worker_id", "most", "wait_ms")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    most: int
    wait_ms: int
    def __init__(self, worker_id: _Optional[str] = ..., most: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class WorkerJob(_message.Message):
    __slots__ = ("job_id", "token", "job_type", "payload_json", "run", "attempt", "request_id", "traceparent")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JOB_TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    token: str
    job_type: str
    payload_json: bytes
    run: int
    attempt: int
    request_id: str
    traceparent: str
    def __init__(self, job_id: _Optional[str] = ..., token: _Optional[str] = ..., job_type: _Optional[str] = ..., payload_json: _Optional[bytes] = ..., run: _Optional[int] = ..., attempt: _Optional[int] = ..., request_id: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class TakeJobsResponse(_message.Message):
    __slots__ = ("jobs", "verdict")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[WorkerJob]
    verdict: Verdict
    def __init__(self, jobs: _Optional[_Iterable[_Union[WorkerJob, _Mapping]]] = ..., verdict: _Optional[_Union[Verdict, str]] = ...) -> None: ...

class JobCompletion(_message.Message):
    __slots__ = ("job_id", "token", "result_json")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    token: str
    result_json: bytes
    def __init__(self, job_id: _Optional[str] = ..., token: _Optional[str] = ..., result_json: _Optional[bytes] = ...) -> None: ...

class CompleteJobsRequest(_message.Message):
    __slots__ = ("worker_id", "jobs")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    jobs: _containers.RepeatedCompositeFieldContainer[JobCompletion]
    def __init__(self, worker_id: _Optional[str] = ..., jobs: _Optional[_Iterable[_Union[JobCompletion, _Mapping]]] = ...) -> None: ...

class CompletionVerdict(_message.Message):
    __slots__ = ("job_id", "accepted", "detail")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    accepted: bool
    detail: str
    def __init__(self, job_id: _Optional[str] = ..., accepted: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class CompleteJobsResponse(_message.Message):
    __slots__ = ("verdicts",)
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[CompletionVerdict]
    def __init__(self, verdicts: _Optional[_Iterable[_Union[CompletionVerdict, _Mapping]]] = ...) -> None: ...

class FailJobRequest(_message.Message):
    __slots__ = ("worker_id", "job_id", "token", "code", "message", "permanent", "stack", "out_of_reach")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PERMANENT_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_REACH_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    job_id: str
    token: str
    code: str
    message: str
    permanent: bool
    stack: str
    out_of_reach: bool
    def __init__(self, worker_id: _Optional[str] = ..., job_id: _Optional[str] = ..., token: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., permanent: _Optional[bool] = ..., stack: _Optional[str] = ..., out_of_reach: _Optional[bool] = ...) -> None: ...

class FailJobResponse(_message.Message):
    __slots__ = ("accepted", "detail")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    detail: str
    def __init__(self, accepted: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class JobTicket(_message.Message):
    __slots__ = ("job_id", "token")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    token: str
    def __init__(self, job_id: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class GiveBackJobsRequest(_message.Message):
    __slots__ = ("worker_id", "jobs")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    jobs: _containers.RepeatedCompositeFieldContainer[JobTicket]
    def __init__(self, worker_id: _Optional[str] = ..., jobs: _Optional[_Iterable[_Union[JobTicket, _Mapping]]] = ...) -> None: ...

class GiveBackJobsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadUploadRequest(_message.Message):
    __slots__ = ("worker_id", "upload_id", "job_id", "token")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    upload_id: str
    job_id: str
    token: str
    def __init__(self, worker_id: _Optional[str] = ..., upload_id: _Optional[str] = ..., job_id: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class ReadUploadResponse(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class RejectedRow(_message.Message):
    __slots__ = ("row", "column", "reason", "detail", "excerpt")
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    EXCERPT_FIELD_NUMBER: _ClassVar[int]
    row: int
    column: str
    reason: str
    detail: str
    excerpt: str
    def __init__(self, row: _Optional[int] = ..., column: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., excerpt: _Optional[str] = ...) -> None: ...

class StageRowsRequest(_message.Message):
    __slots__ = ("worker_id", "job_id", "token", "upload_id", "rows", "rejects")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    REJECTS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    job_id: str
    token: str
    upload_id: str
    rows: bytes
    rejects: _containers.RepeatedCompositeFieldContainer[RejectedRow]
    def __init__(self, worker_id: _Optional[str] = ..., job_id: _Optional[str] = ..., token: _Optional[str] = ..., upload_id: _Optional[str] = ..., rows: _Optional[bytes] = ..., rejects: _Optional[_Iterable[_Union[RejectedRow, _Mapping]]] = ...) -> None: ...

class StageRowsResponse(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    def __init__(self, rows: _Optional[int] = ...) -> None: ...

class HostEvent(_message.Message):
    __slots__ = ("join", "ping", "leave", "spawned", "not_spawned", "stacks", "usage", "exited")
    JOIN_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    SPAWNED_FIELD_NUMBER: _ClassVar[int]
    NOT_SPAWNED_FIELD_NUMBER: _ClassVar[int]
    STACKS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    EXITED_FIELD_NUMBER: _ClassVar[int]
    join: HostJoin
    ping: HostPing
    leave: HostLeave
    spawned: WorkerSpawned
    not_spawned: WorkerNotSpawned
    stacks: WorkerStacks
    usage: WorkerUsage
    exited: WorkerExited
    def __init__(self, join: _Optional[_Union[HostJoin, _Mapping]] = ..., ping: _Optional[_Union[HostPing, _Mapping]] = ..., leave: _Optional[_Union[HostLeave, _Mapping]] = ..., spawned: _Optional[_Union[WorkerSpawned, _Mapping]] = ..., not_spawned: _Optional[_Union[WorkerNotSpawned, _Mapping]] = ..., stacks: _Optional[_Union[WorkerStacks, _Mapping]] = ..., usage: _Optional[_Union[WorkerUsage, _Mapping]] = ..., exited: _Optional[_Union[WorkerExited, _Mapping]] = ...) -> None: ...

class HostJoin(_message.Message):
    __slots__ = ("host", "pool", "slots", "session", "workers", "resumed")
    HOST_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    host: str
    pool: str
    slots: int
    session: str
    workers: _containers.RepeatedScalarFieldContainer[str]
    resumed: bool
    def __init__(self, host: _Optional[str] = ..., pool: _Optional[str] = ..., slots: _Optional[int] = ..., session: _Optional[str] = ..., workers: _Optional[_Iterable[str]] = ..., resumed: _Optional[bool] = ...) -> None: ...

class HostPing(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class HostLeave(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkerSpawned(_message.Message):
    __slots__ = ("worker_id", "pid")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    pid: int
    def __init__(self, worker_id: _Optional[str] = ..., pid: _Optional[int] = ...) -> None: ...

class WorkerNotSpawned(_message.Message):
    __slots__ = ("worker_id", "detail")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    detail: str
    def __init__(self, worker_id: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class WorkerStacks(_message.Message):
    __slots__ = ("request", "worker_id", "text")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    request: int
    worker_id: str
    text: str
    def __init__(self, request: _Optional[int] = ..., worker_id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class WorkerUsage(_message.Message):
    __slots__ = ("worker_id", "memory_bytes", "page", "over_limit")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    OVER_LIMIT_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    memory_bytes: int
    page: bytes
    over_limit: bool
    def __init__(self, worker_id: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., page: _Optional[bytes] = ..., over_limit: _Optional[bool] = ...) -> None: ...

class WorkerExited(_message.Message):
    __slots__ = ("worker_id", "code", "signal", "page", "last_output", "lingers")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    LAST_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    LINGERS_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    code: int
    signal: int
    page: bytes
    last_output: _containers.RepeatedScalarFieldContainer[str]
    lingers: bool
    def __init__(self, worker_id: _Optional[str] = ..., code: _Optional[int] = ..., signal: _Optional[int] = ..., page: _Optional[bytes] = ..., last_output: _Optional[_Iterable[str]] = ..., lingers: _Optional[bool] = ...) -> None: ...

class HostCommand(_message.Message):
    __slots__ = ("welcome", "pong", "spawn", "kill", "capture_stacks", "forget")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    SPAWN_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_STACKS_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    welcome: HostWelcome
    pong: HostPong
    spawn: SpawnWorker
    kill: KillWorker
    capture_stacks: CaptureStacks
    forget: ForgetWorker
    def __init__(self, welcome: _Optional[_Union[HostWelcome, _Mapping]] = ..., pong: _Optional[_Union[HostPong, _Mapping]] = ..., spawn: _Optional[_Union[SpawnWorker, _Mapping]] = ..., kill: _Optional[_Union[KillWorker, _Mapping]] = ..., capture_stacks: _Optional[_Union[CaptureStacks, _Mapping]] = ..., forget: _Optional[_Union[ForgetWorker, _Mapping]] = ...) -> None: ...

class HostWelcome(_message.Message):
    __slots__ = ("check_interval_s", "check_deadline_s", "memory_hard_bytes", "memory_soft_bytes", "recycle_after_jobs", "handlers")
    class HandlersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CHECK_INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    CHECK_DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    MEMORY_HARD_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_SOFT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECYCLE_AFTER_JOBS_FIELD_NUMBER: _ClassVar[int]
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    check_interval_s: float
    check_deadline_s: float
    memory_hard_bytes: int
    memory_soft_bytes: int
    recycle_after_jobs: int
    handlers: _containers.ScalarMap[str, str]
    def __init__(self, check_interval_s: _Optional[float] = ..., check_deadline_s: _Optional[float] = ..., memory_hard_bytes: _Optional[int] = ..., memory_soft_bytes: _Optional[int] = ..., recycle_after_jobs: _Optional[int] = ..., handlers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class HostPong(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class SpawnWorker(_message.Message):
    __slots__ = ("worker_id", "slot", "pool", "title")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    slot: str
    pool: str
    title: str
    def __init__(self, worker_id: _Optional[str] = ..., slot: _Optional[str] = ..., pool: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class KillWorker(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class CaptureStacks(_message.Message):
    __slots__ = ("request", "worker_id", "timeout_s")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    request: int
    worker_id: str
    timeout_s: float
    def __init__(self, request: _Optional[int] = ..., worker_id: _Optional[str] = ..., timeout_s: _Optional[float] = ...) -> None: ...

class ForgetWorker(_message.Message):
    __slots__ = ("worker_id",)
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Worker(_message.Message):
    __slots__ = ("slot", "pool", "host", "worker_id", "pid", "state", "job_id", "lease_remaining_s", "progress", "memory_bytes", "restarts", "last_cause", "last_detail", "last_stack", "last_ended_at", "starts_in_s", "last_job_id")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_REMAINING_S_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    LAST_CAUSE_FIELD_NUMBER: _ClassVar[int]
    LAST_DETAIL_FIELD_NUMBER: _ClassVar[int]
    LAST_STACK_FIELD_NUMBER: _ClassVar[int]
    LAST_ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTS_IN_S_FIELD_NUMBER: _ClassVar[int]
    LAST_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    slot: str
    pool: str
    host: str
    worker_id: str
    pid: int
    state: str
    job_id: str
    lease_remaining_s: float
    progress: int
    memory_bytes: int
    restarts: int
    last_cause: str
    last_detail: str
    last_stack: str
    last_ended_at: _timestamp_pb2.Timestamp
    starts_in_s: float
    last_job_id: str
    def __init__(self, slot: _Optional[str] = ..., pool: _Optional[str] = ..., host: _Optional[str] = ..., worker_id: _Optional[str] = ..., pid: _Optional[int] = ..., state: _Optional[str] = ..., job_id: _Optional[str] = ..., lease_remaining_s: _Optional[float] = ..., progress: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., restarts: _Optional[int] = ..., last_cause: _Optional[str] = ..., last_detail: _Optional[str] = ..., last_stack: _Optional[str] = ..., last_ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., starts_in_s: _Optional[float] = ..., last_job_id: _Optional[str] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class RestartWorkersRequest(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: str
    def __init__(self, pool: _Optional[str] = ...) -> None: ...

class RestartWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: int
    def __init__(self, workers: _Optional[int] = ...) -> None: ...

class DrainWorkersRequest(_message.Message):
    __slots__ = ("slot", "host", "force")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    slot: str
    host: str
    force: bool
    def __init__(self, slot: _Optional[str] = ..., host: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class DrainWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...

class ResumeWorkersRequest(_message.Message):
    __slots__ = ("slot", "host")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    slot: str
    host: str
    def __init__(self, slot: _Optional[str] = ..., host: _Optional[str] = ...) -> None: ...

class ResumeWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[Worker]
    def __init__(self, workers: _Optional[_Iterable[_Union[Worker, _Mapping]]] = ...) -> None: ...
