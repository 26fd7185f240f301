"""Configuration: frozen settings and definitions, read from files, environment and command line."""

from engine.config.backend_sections import BlobsConfig, KafkaConfig, RedisConfig
from engine.config.data_sections import DuckdbConfig, OnlineConfig, RetentionConfig
from engine.config.definitions import (
    EntitySpec,
    FeaturesFile,
    FeatureSpec,
    ModelsFile,
    ModelSpec,
    UploadSpec,
)
from engine.config.describe import ConfigRow, describe_config, find_secrets
from engine.config.effective import EngineConfig
from engine.config.estimators import ESTIMATORS, Task
from engine.config.fields import (
    AGGREGATES,
    EVENT_COLUMNS,
    EVENTS_SOURCE,
    UPLOADS_PREFIX,
    VALUE_TYPES,
)
from engine.config.learning import (
    DriftSpec,
    EstimatorSpec,
    LabelSpec,
    ObservationsSpec,
    PolicySpec,
    SplitSpec,
)
from engine.config.loader import Check, load_config
from engine.config.problems import ConfigError, Problem, nearest_name
from engine.config.secrets import Secret
from engine.config.sections import (
    AppSettings,
    LogConfig,
    PathsConfig,
    SecurityConfig,
    ServerPortsConfig,
    ShutdownConfig,
    ThresholdsConfig,
)
from engine.config.worker_sections import (
    BUILT_IN_JOB_TYPES,
    DEFAULT_POOL,
    JobTypeConfig,
    WorkersConfig,
)

__all__ = [
    "AGGREGATES",
    "BUILT_IN_JOB_TYPES",
    "DEFAULT_POOL",
    "ESTIMATORS",
    "EVENTS_SOURCE",
    "EVENT_COLUMNS",
    "UPLOADS_PREFIX",
    "VALUE_TYPES",
    "AppSettings",
    "BlobsConfig",
    "Check",
    "ConfigError",
    "ConfigRow",
    "DriftSpec",
    "DuckdbConfig",
    "EngineConfig",
    "EntitySpec",
    "EstimatorSpec",
    "FeatureSpec",
    "FeaturesFile",
    "JobTypeConfig",
    "KafkaConfig",
    "LabelSpec",
    "LogConfig",
    "ModelSpec",
    "ModelsFile",
    "ObservationsSpec",
    "OnlineConfig",
    "PathsConfig",
    "PolicySpec",
    "Problem",
    "RedisConfig",
    "RetentionConfig",
    "Secret",
    "SecurityConfig",
    "ServerPortsConfig",
    "ShutdownConfig",
    "SplitSpec",
    "Task",
    "ThresholdsConfig",
    "UploadSpec",
    "WorkersConfig",
    "describe_config",
    "find_secrets",
    "load_config",
    "nearest_name",
]
