"""The sections of `app.yaml`: every setting with its type, limits, default and meaning.

A component is handed its own section and nothing else; `worker_sections`, `backend_sections` and
`data_sections` hold those with many settings. The texts are also the reference page
(`docs/configuration.md`); units are in the names.
"""

# ruff: noqa: RUF009 - `setting` describes a field, as attrs.field does; it is no shared default.

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import attrs

from engine.config.backend_sections import BlobsConfig, KafkaConfig, RedisConfig
from engine.config.data_sections import DuckdbConfig, OnlineConfig, RetentionConfig
from engine.config.kinds import Choice
from engine.config.quantities import Duration, Number, Size
from engine.config.setting_fields import (
    GIB,
    KIB,
    BearerToken,
    Fraction,
    Host,
    Path_,
    Port,
    mapping_setting,
    setting,
)
from engine.config.worker_sections import WorkersConfig

LOG_PARTS = (
    "app",
    "backends",
    "cli",
    "config",
    "console",
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
    "tracing",
    "uploads",
    "web",
    "workers",
)
"""Packages below `engine` whose log level can be set on its own; the processes of workers have that
of `workers`."""

LogPart = Annotated[str, Choice(LOG_PARTS)]
LogLevel = Annotated[str, Choice(("DEBUG", "INFO", "WARNING", "ERROR"))]


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
        f"Another level for a part, as `part: level`; parts are {', '.join(LOG_PARTS)}. That of "
        "`workers` is also that of what jobs log."
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
