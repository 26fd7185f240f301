"""The sections of `app.yaml`: every setting with its type, limits, default and meaning.

A component is handed its own section and nothing else. The texts here are also the reference page
(`docs/configuration.md`); units are in the names.
"""

# ruff: noqa: RUF009 - `setting` describes a field, as attrs.field does; it is no shared default.

import datetime
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import attrs

from engine.config.kinds import (
    Address,
    Choice,
    Duration,
    FilePath,
    Instant,
    Integer,
    Number,
    SecretText,
    SecretToken,
    Size,
    Switch,
    Text,
)
from engine.config.redis_url import RedisUrl
from engine.config.secrets import Secret

Value = TypeVar("Value")

KIB = 2**10
MIB = 2**20
GIB = 2**30
DAY_S = 86_400

LOG_PARTS = (
    "app",
    "backends",
    "cli",
    "config",
    "features",
    "generator",
    "intake",
    "jobs",
    "learning",
    "models",
    "retention",
    "rpc",
    "services",
    "serving",
    "store",
    "uploads",
    "web",
    "workers",
)
"""Packages below `engine` whose log level can be set on its own."""

BUILT_IN_JOB_TYPES = ("process_upload", "train", "detect_drift", "score")
"""Types of job that Trellis brings along; a setting of theirs may differ, their handler may not."""

DEFAULT_POOL = "default"
"""The pool of jobs that name none."""

# Short enough for a metric label, and valid as a name in Python, SQL and the expression grammar.
Identifier = Annotated[
    str,
    Text(
        "a name of 1 to 63 lower-case letters, digits and underscores that starts with a letter",
        r"[a-z][a-z0-9_]{0,62}",
    ),
]
Port = Annotated[int, Integer(0, 65_535)]
Count = Annotated[int, Integer(1, 1_000_000)]
Rows = Annotated[int, Integer(1, 10_000_000)]
Threads = Annotated[int, Integer(1, 256)]
Days = Annotated[int, Integer(1, 36_500)]
ShortDuration = Annotated[float, Duration(0.01, 3600)]
Fraction = Annotated[float, Number(0, 1)]
Path_ = Annotated[Path, FilePath()]
Password = Annotated[Secret, SecretText()]
BearerToken = Annotated[Secret, SecretToken()]
LogPart = Annotated[str, Choice(LOG_PARTS)]
LogLevel = Annotated[str, Choice(("DEBUG", "INFO", "WARNING", "ERROR"))]
Host = Annotated[str, Address()]
KafkaName = Annotated[
    str, Text("1 to 200 letters, digits, dots, dashes and underscores", r"[A-Za-z0-9._-]{1,200}")
]
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_SERVER = rf"(?:{_LABEL}(?:\.{_LABEL}){{0,31}}|\[[0-9A-Fa-f:.]{{2,45}}\]):[0-9]{{1,5}}"
Servers = Annotated[
    str,
    Text("host:port, several separated by commas", rf"{_SERVER}(?: ?, ?{_SERVER}){{0,63}}"),
]
Username = Annotated[str, Text("1 to 256 printable characters", r"[^\x00-\x1f\x7f]{1,256}")]
Container = Annotated[
    str,
    Text(
        "3 to 63 lower-case letters, digits and single dashes, a letter or digit at both ends",
        r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*",
    ),
]
AccountUrl = Annotated[
    str,
    Text(
        "an http(s) URL without user, query or fragment "
        "(a SAS token belongs into blobs.connection_string)",
        r"https?://[A-Za-z0-9.:\[\]_-]{1,255}(?:/[A-Za-z0-9._~/-]{0,255})?",
    ),
]
HandlerName = Annotated[
    str,
    Text(
        "a function as package.module:function",
        r"[A-Za-z_]\w{0,62}(?:\.[A-Za-z_]\w{0,62}){0,15}:[A-Za-z_]\w{0,62}",
    ),
]
SaslMechanism = Annotated[str, Choice(("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))]
SecurityProtocol = Annotated[str, Choice(("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"))]


def setting(default: Value, meaning: str) -> Value:
    """Return an attrs field with its default and the sentence that documents it."""
    field: Any = attrs.field(default=default, metadata={"meaning": meaning})
    return field  # type: ignore[no-any-return]


def freeze_mapping(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a read-only copy, since a frozen class with a dict inside is not frozen."""
    return MappingProxyType(dict(mapping))


def mapping_setting(meaning: str) -> Any:
    """Return an attrs field for a mapping that is empty by default and read-only always."""
    return attrs.field(
        factory=lambda: MappingProxyType({}),
        converter=freeze_mapping,
        metadata={"meaning": meaning},
    )


@attrs.frozen
class ServerPortsConfig:
    """Where the servers listen. Port 0 takes any free port; the `ready` line names it."""

    host: Host = setting(
        "127.0.0.1",
        "Address every server binds to. One that is not loopback needs TLS or a token "
        "(section `security`).",
    )
    service_a: Port = setting(50051, "gRPC: uploads.")
    service_b: Port = setting(50052, "gRPC: features and models.")
    service_d: Port = setting(50054, "gRPC: drift, retraining and jobs.")
    control: Port = setting(50050, "gRPC: the workers' own port.")
    metrics: Port = setting(9464, "HTTP: the Console, /metrics, /healthz, /readyz.")


@attrs.frozen
class SecurityConfig:
    """How callers from elsewhere are kept honest."""

    tls_certificate: Path_ | None = setting(None, "PEM file with the servers' certificate chain.")
    tls_private_key: Path_ | None = setting(None, "PEM file with the certificate's private key.")
    auth_token: BearerToken | None = setting(None, "Bearer token that every gRPC call must carry.")
    control_token: BearerToken | None = setting(
        None,
        "Bearer token of the control port, for workers on other machines. Without it every start "
        "makes one of its own.",
    )


@attrs.frozen
class JobTypeConfig:
    """A type of job. Under a name that Trellis does not bring along it is one of your own, which
    `JobService.SubmitJob` accepts.
    """

    handler: HandlerName | None = setting(
        None,
        "The function that does it, importable beside main.py on every machine with workers; "
        "needed for types of your own.",
    )
    pool: Identifier = setting(DEFAULT_POOL, "The pool of workers that does it.")
    stall_s: ShortDuration | None = setting(None, "Replaces workers.stall_s for jobs of this type.")
    max_attempts: Annotated[int, Integer(1, 1_000)] = setting(
        3, "Attempts charged to a job after which it is given up."
    )


@attrs.frozen
class WorkersConfig:
    """The worker processes, and when one is replaced."""

    max_python_workers: Annotated[int, Integer(1, 256)] = setting(
        2, "Most worker processes at any time."
    )
    pools: Mapping[Identifier, Annotated[int, Integer(1, 256)]] = mapping_setting(
        "Workers kept for one kind of job each, as `name: workers`; the sum is at most "
        "max_python_workers, and what is left over takes any job."
    )
    job_types: Mapping[Identifier, JobTypeConfig] = mapping_setting(
        "Types of job that differ from the defaults, and your own; keys below."
    )
    check_interval_s: ShortDuration = setting(1.0, "How often a worker reports.")
    check_deadline_s: ShortDuration = setting(
        5.0, "A worker that has not reported for this long is replaced."
    )
    stall_s: ShortDuration = setting(
        60.0, "A worker that reports, but whose job makes no progress for this long, is replaced."
    )
    cancel_grace_s: ShortDuration = setting(
        5.0, "A job that has not ended this long after it was told of its cancellation is killed."
    )
    retry_first_s: ShortDuration = setting(
        1.0, "Least delay before a job that failed is tried again; it doubles with each failure."
    )
    retry_longest_s: ShortDuration = setting(300.0, "Most delay before a job is tried again.")
    result_ttl_s: Annotated[float, Duration(1, 365 * DAY_S)] = setting(
        float(DAY_S), "How long Redis keeps results; the data file keeps them on."
    )
    memory_soft_bytes: Annotated[int, Size(64 * MIB, 1024 * GIB)] | None = setting(
        GIB, "A worker with more memory than this is replaced at the end of its job."
    )
    memory_hard_bytes: Annotated[int, Size(64 * MIB, 1024 * GIB)] | None = setting(
        2 * GIB, "A worker that takes more memory than this, with its children, is killed."
    )
    recycle_after_jobs: Count | None = setting(
        None, "A worker that has done so many jobs is replaced."
    )
    restart_intensity: Annotated[int, Integer(1, 10_000)] = setting(
        10, "A slot whose workers die more often than this within restart_period_s is parked."
    )
    restart_period_s: ShortDuration = setting(60.0, "The time over which deaths are counted.")
    restart_longest_s: ShortDuration = setting(
        10.0, "Most delay between the deaths of a slot's workers and the next start."
    )
    park_s: ShortDuration = setting(30.0, "How long a parked slot rests before it is tried again.")


@attrs.frozen
class UploadsConfig:
    """Files that are uploaded to service A."""

    max_bytes: Annotated[int, Size(KIB, 64 * GIB)] = setting(GIB, "A larger file is refused.")


@attrs.frozen
class PathsConfig:
    """Folders. `data` is taken from the working directory, the others from `data`."""

    data: Path_ = setting(Path("data"), "The data file and the embedded servers' files.")
    model_cache: Path_ = setting(Path("model_cache"), "Artifacts fetched from the blob store.")
    blobs: Path_ = setting(Path("blobs"), "The blob store itself when no account is configured.")


@attrs.frozen
class ThresholdsConfig:
    """Drift: a feature whose score reaches its threshold, not by chance, has drifted."""

    psi: Annotated[float, Number(0.001, 10)] = setting(0.2, "Population stability index.")
    ks_statistic: Fraction = setting(
        0.1,
        "Largest difference in probability: Kolmogorov-Smirnov distance of numeric features, total "
        "variation of categories.",
    )
    missing_rate: Fraction = setting(
        0.1, "Rise of the share of missing values; also share of values in new categories."
    )


@attrs.frozen
class KafkaConfig:
    """The event stream. Without bootstrap_servers an embedded broker is started."""

    bootstrap_servers: Servers | None = setting(None, "Brokers to use instead of the embedded one.")
    topic: KafkaName = setting(
        "trellis.events", "Topic of user events; refused messages go to `<topic>.dlq`."
    )
    group_id: KafkaName | None = setting(
        "trellis",
        "Consumer group of a configured cluster; null takes every partition without a group, which "
        "starts seconds sooner and suits a single engine.",
    )
    partitions: Annotated[int, Integer(1, 1024)] = setting(
        4, "Partitions of the topic when Trellis creates it."
    )
    security_protocol: SecurityProtocol = setting("PLAINTEXT", "How the brokers are spoken to.")
    sasl_mechanism: SaslMechanism = setting("PLAIN", "How a SASL protocol authenticates.")
    sasl_username: Username | None = setting(None, "User of a SASL protocol.")
    sasl_password: Password | None = setting(None, "Password of a SASL protocol.")
    ssl_ca_file: Path_ | None = setting(
        None, "PEM file with the authorities to trust instead of the system's."
    )
    ssl_certificate_file: Path_ | None = setting(None, "PEM file with the client's certificate.")
    ssl_key_file: Path_ | None = setting(None, "PEM file with the client's private key.")
    ssl_key_password: Password | None = setting(None, "Password of the private key.")
    max_message_bytes: Annotated[int, Size(KIB, 64 * MIB)] = setting(
        MIB, "A larger message is refused, with this reason, to the dead letters."
    )
    batch_rows: Rows = setting(20_000, "Most messages validated and written together.")
    max_future_s: Annotated[float, Duration(0, 365 * DAY_S)] = setting(
        300.0, "An event further ahead of the clock than this is refused."
    )
    oldest: Annotated[datetime.datetime, Instant()] = setting(
        datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), "An event before this is refused."
    )
    stuck_after_s: ShortDuration = setting(
        8.0, "The intake counts as stuck when it lags and has not moved for this long."
    )


@attrs.frozen
class RedisConfig:
    """The job queue. Without a URL an embedded server is started."""

    url: Annotated[Secret, RedisUrl()] | None = setting(
        None, "Server to use instead of the embedded one."
    )
    cluster: Annotated[bool, Switch()] = setting(
        False, "Whether the URL is that of a node of a Redis Cluster, whose others it will name."
    )


@attrs.frozen
class BlobsConfig:
    """The artifact store. Without an account it is the folder `paths.blobs`."""

    container: Container = setting("trellis", "Container of the account.")
    account_url: AccountUrl | None = setting(
        None, "Azure account (https) to use with the identity of the machine."
    )
    connection_string: Password | None = setting(
        None, "Azure account to use with the key or SAS token in this string."
    )
    create_container: Annotated[bool, Switch()] = setting(
        True, "Whether to make the container if the account has none of its name."
    )
    timeout_s: ShortDuration = setting(
        30.0,
        "Time for one step of an operation, repetitions included: a request to the account of up "
        "to 4 MiB of content, or an access to the disk.",
    )
    cache_bytes: Annotated[int, Size(MIB, 1024 * GIB)] = setting(
        GIB,
        "Most bytes of fetched artifacts in `paths.model_cache`; past it the least recently "
        "used are removed.",
    )


@attrs.frozen
class DuckdbConfig:
    """The data file: memory, threads, and how writes are grouped."""

    memory_limit_bytes: Annotated[int, Size(64 * MIB, 1024 * GIB)] = setting(
        GIB, "Most memory DuckDB uses before it spills to disk."
    )
    threads: Threads = setting(2, "DuckDB's own threads.")
    reader_threads: Threads = setting(4, "Queries that may run at once.")
    queue_rows: Rows = setting(200_000, "Most rows that wait for the writer.")
    queue_bytes: Annotated[int, Size(MIB, 64 * GIB)] = setting(
        128 * MIB, "Most bytes that wait for the writer."
    )
    batch_rows: Rows = setting(50_000, "Most rows in one transaction of several requests.")
    checkpoint_wal_bytes: Annotated[int, Size(MIB, 16 * GIB)] = setting(
        64 * MIB, "A write-ahead log of this size is folded into the data file at once."
    )
    checkpoint_idle_s: ShortDuration = setting(
        1.0, "A smaller one is folded in when nothing was written for this long."
    )


@attrs.frozen
class OnlineConfig:
    """The feature values held in memory."""

    max_bytes: Annotated[int, Size(MIB, 1024 * GIB)] = setting(
        512 * MIB, "Past this the least recently used entities are left to DuckDB."
    )
    fold_events: Count = setting(
        256, "Events kept singly per entity before they are folded into tiles."
    )


@attrs.frozen
class RetentionConfig:
    """How long rows stay in the data file; nothing set means for ever. Older ones are moved to the
    blob store, from where `python main.py history` reads them.
    """

    events_days: Days | None = setting(
        None,
        "Days to keep events, by event time and by when they were taken in. Those that features "
        "without a window rest on stay.",
    )
    predictions_days: Days | None = setting(None, "Days to keep predictions.")
    dead_letters_days: Days | None = setting(
        None,
        "Days to keep refused messages that are in the dead-letter topic. What was moved is no "
        "longer listed or replayed.",
    )


@attrs.frozen
class ShutdownConfig:
    """The orderly stop."""

    grace_s: Annotated[float, Duration(0, 3600)] = setting(
        10.0, "Time the parts have to finish what they do; then they are cut off."
    )


@attrs.frozen
class LogConfig:
    """What is logged, and how."""

    format: Annotated[str, Choice(("auto", "json", "human"))] = setting(
        "auto", "`auto` is human on a terminal and JSON elsewhere."
    )
    level: LogLevel = setting("INFO", "Least severity that is logged.")
    levels: Mapping[LogPart, LogLevel] = mapping_setting(
        f"Another level for a part, as `part: level`; parts are {', '.join(LOG_PARTS)}."
    )


@attrs.frozen
class AppSettings:
    """All of `app.yaml`."""

    server_ports: ServerPortsConfig = attrs.field(factory=ServerPortsConfig)
    security: SecurityConfig = attrs.field(factory=SecurityConfig)
    workers: WorkersConfig = attrs.field(factory=WorkersConfig)
    uploads: UploadsConfig = attrs.field(factory=UploadsConfig)
    paths: PathsConfig = attrs.field(factory=PathsConfig)
    thresholds: ThresholdsConfig = attrs.field(factory=ThresholdsConfig)
    kafka: KafkaConfig = attrs.field(factory=KafkaConfig)
    redis: RedisConfig = attrs.field(factory=RedisConfig)
    blobs: BlobsConfig = attrs.field(factory=BlobsConfig)
    duckdb: DuckdbConfig = attrs.field(factory=DuckdbConfig)
    online: OnlineConfig = attrs.field(factory=OnlineConfig)
    retention: RetentionConfig = attrs.field(factory=RetentionConfig)
    shutdown: ShutdownConfig = attrs.field(factory=ShutdownConfig)
    log: LogConfig = attrs.field(factory=LogConfig)
