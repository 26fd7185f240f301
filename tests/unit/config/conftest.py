"""A folder with the shipped configuration to change, and its problems as lines."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from engine.config import ConfigError, load_config

SHIPPED = Path(__file__).resolve().parents[3] / "configs"

Lines = Callable[..., list[str]]


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    shutil.copytree(SHIPPED, folder)
    return folder


@pytest.fixture
def problems(config_dir: Path) -> Lines:
    """Load the folder with the given files' text replaced; return what is wrong with it."""

    def load(
        files: Mapping[str, str] | None = None,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        for name, text in (files or {}).items():
            (config_dir / name).write_text(text, encoding="utf-8")
        try:
            load_config(config_dir, None, overrides, environ or {})
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        return []

    return load
