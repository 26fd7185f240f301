"""What only the engine's upper parts can tell of a configuration."""

from collections.abc import Sequence

from engine.config import ConfigError, EngineConfig, Problem
from engine.features import compile_feature_set
from engine.features.retention_rules import find_short_retention


def check_formulas(config: EngineConfig) -> Sequence[Problem]:
    """Return what is wrong with formulas, and what looks back past retention; for `load_config`."""
    try:
        feature_set = compile_feature_set(config.features)
    except ConfigError as error:
        return error.problems
    return find_short_retention(config, feature_set)
