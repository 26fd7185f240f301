"""What is shipped loads as it is, says what the defaults are, and is documented."""

import json
import re
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest

from engine.config import AppSettings, EngineConfig, describe_config, load_config
from engine.config.reference import render_reference
from engine.config.sections import LOG_PARTS
from engine.config.settings import ENV_FILE_NAMES, SETTINGS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def config() -> EngineConfig:
    return load_config(ROOT / "configs", None, [], {})


def test_shipped_settings_are_the_defaults(config: EngineConfig) -> None:
    shipped = {key: getattr(getattr(config, s.section), s.name) for key, s in SETTINGS.items()}
    folders = {"paths.data", "paths.model_cache", "paths.blobs"}
    # The default configuration has a model that scores; an engine without one needs no such worker.
    scoring = {"workers.max_python_workers", "workers.pools"}
    assert {key for key, s in SETTINGS.items() if shipped[key] != s.default} == folders | scoring
    assert config.paths.data == Path.cwd() / "data"


def test_default_settings_fit_their_own_limits() -> None:
    attrs.resolve_types(AppSettings)
    assert set(SETTINGS) == {
        f"{section.name}.{field.name}"
        for section in attrs.fields(AppSettings)
        for field in attrs.fields(section.type)  # type: ignore[arg-type]
    }


def test_shipped_features_fit_shops_and_purchase_histories(config: EngineConfig) -> None:
    features = config.features.features
    assert len(features) == 22
    assert features["spend_24h"].where == {"action": ("purchase",)}
    assert features["spend_24h"].window_s == 86_400
    assert features["purchases_39w"].window_s == 39 * 7 * 86_400
    assert features["purchases_total"].window_s is None
    assert features["plan"].type == "string"
    assert features["plan"].ttl_s == 30 * 86_400
    purchases_only = config.models.models["buys_again"].features
    assert all(features[name].where == {"action": ("purchase",)} for name in purchases_only)


def test_shipped_env_files_set_nothing_and_name_every_key() -> None:
    for name, keys in ENV_FILE_NAMES.items():
        text = (ROOT / "configs" / name).read_text(encoding="utf-8")
        assert set(re.findall(r"^#([A-Z_]+)=", text, re.MULTILINE)) == set(keys)
        assert all(line.startswith("#") for line in text.splitlines() if line)


def test_rows_cover_everything_and_are_plain(config: EngineConfig) -> None:
    rows = describe_config(config)
    assert json.loads(json.dumps([row.value for row in rows])) == [row.value for row in rows]
    by_key = {row.key: row for row in rows}
    assert len(by_key) == len(rows)
    assert set(SETTINGS) < by_key.keys()
    assert by_key["server_ports.metrics"].origin == "app.yaml"
    assert by_key["redis.url"].value is None
    assert by_key["redis.url"].origin == "default"
    assert by_key["features.click_rate"].value == {
        "expression": "clicks_5m / (views_5m + 1)",
        "entity": "user",
        "description": "Clicks for each page seen.",
    }
    assert by_key["models.buys_again"].origin == "models.yaml"


def test_configuration_cannot_be_changed(config: EngineConfig) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.kafka.topic = "x"  # type: ignore[misc]
    assert isinstance(config.features.features, MappingProxyType)
    assert isinstance(config.origins, MappingProxyType)


def test_reference_page_is_current() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == render_reference(), "run python -m engine.config.reference"


def test_each_part_that_logs_has_a_level_of_its_own() -> None:
    engine = ROOT / "engine"
    packages = {path.parent.relative_to(engine).parts[0] for path in engine.glob("*/**/*.py")}
    # Jobs log by the level of their workers; `logs` is how the others do.
    logging_parts = {
        path.relative_to(engine).parts[0]
        for path in engine.glob("*/**/*.py")
        if "logging.getLogger(__name__)" in path.read_text(encoding="utf-8")
    } - {"tasks", "logs"}
    assert logging_parts <= set(LOG_PARTS) <= packages | {"app"}
