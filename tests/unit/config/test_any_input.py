"""The law of loading: any input gives a configuration or a ConfigError, nothing else."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.config import ConfigError, EngineConfig, describe_config, load_config
from engine.config.files import ENV_FILES, YAML_FILES
from engine.config.settings import ENV_FILE_NAMES, SETTINGS

SHIPPED = Path(__file__).resolve().parents[3] / "configs"

WORDS = sorted(
    {part for key in SETTINGS for part in key.split(".")}
    | {"entities", "uploads", "features", "models", "user", "profiles", "plan", "views_5m"}
    | {"from", "where", "aggregate", "column", "window", "tile", "ttl", "type", "expression"}
    | {"entity", "key", "entity_key", "time_column", "columns", "action", "description"}
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(
        [*WORDS, "events", "uploads.profiles", "count", "sum", "value", "5m", "1d", "int64", "1GiB"]
    )
)
keys = st.sampled_from(WORDS) | st.text(max_size=8) | st.integers()
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)
top_level = st.dictionaries(
    st.sampled_from(
        [*{key.split(".")[0] for key in SETTINGS}, "entities", "uploads", "features", "models"]
    ),
    st.dictionaries(st.sampled_from(WORDS), trees, max_size=6) | trees,
    max_size=6,
)
variables = st.dictionaries(
    st.sampled_from(
        [setting.environment_name for setting in SETTINGS.values()]
        + [name for names in ENV_FILE_NAMES.values() for name in names]
    )
    | st.text(max_size=8).map(lambda text: "TRELLIS_" + text),
    st.text(max_size=20),
    max_size=4,
)
overrides = st.lists(
    st.tuples(st.sampled_from(list(SETTINGS)), st.text(max_size=20)).map("=".join)
    | st.text(max_size=20),
    max_size=4,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name) / "configs"


def check_outcome(
    folder: Path,
    contents: Mapping[str, bytes],
    arguments: list[str],
    environ: Mapping[str, str],
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SHIPPED, folder)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    outcome: EngineConfig | ConfigError
    try:
        outcome = load_config(folder, None, arguments, environ)
    except ConfigError as error:
        outcome = error
    if isinstance(outcome, ConfigError):
        assert outcome.problems
        assert all(str(problem).isprintable() for problem in outcome.problems)
    else:
        assert describe_config(outcome)


# Each example writes a folder; the machine's load, not the code, decides how long that takes.
on_disk = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@on_disk
@given(
    contents=st.dictionaries(
        st.sampled_from([*YAML_FILES, *ENV_FILES]),
        st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
        min_size=1,
    )
)
def test_any_bytes_are_settings_or_problems(folder: Path, contents: dict[str, bytes]) -> None:
    check_outcome(folder, contents, [], {})


@on_disk
@given(trees_of_files=st.dictionaries(st.sampled_from(YAML_FILES), top_level | trees, min_size=1))
def test_any_yaml_tree_is_settings_or_problems(
    folder: Path, trees_of_files: dict[str, Any]
) -> None:
    contents = {
        name: yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
        for name, tree in trees_of_files.items()
    }
    check_outcome(folder, contents, [], {})


@on_disk
@given(environ=variables, arguments=overrides)
def test_any_variables_and_arguments_are_settings_or_problems(
    folder: Path, environ: dict[str, str], arguments: list[str]
) -> None:
    check_outcome(folder, {}, arguments, environ)


@on_disk
@given(
    name=st.sampled_from(ENV_FILES),
    lines=st.lists(
        st.tuples(
            st.sampled_from([key for names in ENV_FILE_NAMES.values() for key in names]),
            st.text(max_size=30),
        ).map("=".join),
        max_size=4,
    ),
)
def test_any_env_lines_are_settings_or_problems(folder: Path, name: str, lines: list[str]) -> None:
    check_outcome(folder, {name: "\n".join(lines).encode("utf-8", "surrogatepass")}, [], {})
