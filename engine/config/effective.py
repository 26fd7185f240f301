"""The configuration the engine runs on."""

from collections.abc import Mapping

import attrs

from engine.config.definitions import FeaturesFile, ModelsFile
from engine.config.sections import AppSettings
from engine.config.setting_fields import freeze_mapping


@attrs.frozen
class EngineConfig(AppSettings):
    """Every setting with its effective value, the definitions, and where each setting came from.

    `origins` maps the dotted key of every setting to `default`, a file name,
    `environment NAME`, `--set` or `--data`.
    """

    features: FeaturesFile = attrs.field(factory=FeaturesFile)
    models: ModelsFile = attrs.field(factory=ModelsFile)
    origins: Mapping[str, str] = attrs.field(factory=dict, converter=freeze_mapping, repr=False)
