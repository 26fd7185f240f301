"""The effective configuration as rows, for `check-config` and for the status page."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from engine.config.effective import EngineConfig
from engine.config.files import FEATURES_FILE, MODELS_FILE
from engine.config.secrets import MASK, Secret
from engine.config.settings import SETTINGS


@attrs.frozen
class ConfigRow:
    """One setting or definition.

    `value` is plain (None, bool, int, float, str, or lists and dicts of these), ready for JSON;
    a secret is `***`.
    """

    key: str
    value: Any
    origin: str


def describe_config(config: EngineConfig) -> list[ConfigRow]:
    """Return every setting and definition with its origin, in the order of the files."""
    rows = []
    for key, setting in SETTINGS.items():
        value = getattr(getattr(config, setting.section), setting.name)
        rows.append(ConfigRow(key, _to_plain(value), config.origins.get(key, "default")))
    groups: tuple[tuple[str, Mapping[str, Any], str], ...] = (
        ("entities", config.features.entities, FEATURES_FILE),
        ("uploads", config.features.uploads, FEATURES_FILE),
        ("features", config.features.features, FEATURES_FILE),
        ("models", config.models.models, MODELS_FILE),
    )
    for group, definitions, file in groups:
        for name, definition in definitions.items():
            rows.append(ConfigRow(f"{group}.{name}", _to_plain(definition), file))
    return rows


def find_secrets(config: EngineConfig) -> tuple[Secret, ...]:
    """Return every secret that is set, for whoever masks them in texts of others."""
    values = (
        getattr(getattr(config, setting.section), setting.name) for setting in SETTINGS.values()
    )
    return tuple(value for value in values if isinstance(value, Secret))


def _to_plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    if attrs.has(type(value)):
        # What was not written is left out; the name is in the row's key.
        return {
            field.name: _to_plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if field.name != "name" and getattr(value, field.name) not in (None, "", {})
        }
    return value
