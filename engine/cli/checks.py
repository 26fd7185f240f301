"""What only the engine's upper parts can tell of a configuration."""

from collections.abc import Sequence

from engine.config import ConfigError, EngineConfig, Problem
from engine.features import compile_feature_set


def check_formulas(config: EngineConfig) -> Sequence[Problem]:
    """Return what is wrong with the features' formulas; a check for `load_config`."""
    try:
        compile_feature_set(config.features)
    except ConfigError as error:
        return error.problems
    return ()
