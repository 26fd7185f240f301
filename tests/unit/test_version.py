import tomllib
from pathlib import Path

from engine.version import VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
