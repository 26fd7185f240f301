"""Configuration: frozen settings and definitions, read from files, environment and command line."""

from engine.config.definitions import (
    AGGREGATES,
    EVENT_COLUMNS,
    EVENTS_SOURCE,
    UPLOADS_PREFIX,
    VALUE_TYPES,
    EntitySpec,
    FeaturesFile,
    FeatureSpec,
    ModelsFile,
    ModelSpec,
    UploadSpec,
)
from engine.config.describe import ConfigRow, describe_config, find_secrets
from engine.config.effective import EngineConfig
from engine.config.loader import Check, load_config
from engine.config.problems import ConfigError, Problem, nearest_name
from engine.config.secrets import Secret
from engine.config.sections import (
    AppSettings,
    BlobsConfig,
    DuckdbConfig,
    KafkaConfig,
    LogConfig,
    OnlineConfig,
    PathsConfig,
    RedisConfig,
    RetentionConfig,
    SecurityConfig,
    ServerPortsConfig,
    ShutdownConfig,
    ThresholdsConfig,
    WorkersConfig,
)

__all__ = [
    "AGGREGATES",
    "EVENTS_SOURCE",
    "EVENT_COLUMNS",
    "UPLOADS_PREFIX",
    "VALUE_TYPES",
    "AppSettings",
    "BlobsConfig",
    "Check",
    "ConfigError",
    "ConfigRow",
    "DuckdbConfig",
    "EngineConfig",
    "EntitySpec",
    "FeatureSpec",
    "FeaturesFile",
    "KafkaConfig",
    "LogConfig",
    "ModelSpec",
    "ModelsFile",
    "OnlineConfig",
    "PathsConfig",
    "Problem",
    "RedisConfig",
    "RetentionConfig",
    "Secret",
    "SecurityConfig",
    "ServerPortsConfig",
    "ShutdownConfig",
    "ThresholdsConfig",
    "UploadSpec",
    "WorkersConfig",
    "describe_config",
    "find_secrets",
    "load_config",
    "nearest_name",
]
