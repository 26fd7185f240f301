"""The page of licences is current, and nothing has one that is not allowed."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate_licences", ROOT / "ops/generate_licences.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(licences: ModuleType) -> None:
    assert licences.PAGE.read_text(encoding="utf-8") == licences.write_page(), (
        "run: python ops/generate_licences.py"
    )


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_licence_is_allowed(licences: ModuleType, lock: str) -> None:
    for package in licences.read_pins(lock):
        parts = re.split(r" AND | OR |[()]", licences.licence_of(package))
        assert {part.strip() for part in parts if part.strip()} <= licences.ALLOWED, package


def test_a_licence_that_nobody_knows_is_an_error(
    licences: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(licences.NAMES, "MIT License")
    with pytest.raises(LookupError, match="pluggy"):
        licences.licence_of("pluggy")
    with pytest.raises(LookupError, match="not installed"):
        licences.licence_of("no-such-package")


def test_what_is_kept_in_the_repository_is_named(licences: ModuleType) -> None:
    """Parts of others bring their licence along, and stand on the page."""
    for notice in (*ROOT.glob("engine/**/LICENSE*"), *ROOT.glob("tests/support/**/LICENSE*")):
        folder = str(notice.parent.relative_to(ROOT))
        assert f"| {folder} |" in licences.PAGE.read_text(encoding="utf-8")
    for minified in (*ROOT.glob("engine/**/*.min.*"), *ROOT.glob("tests/support/**/*.min.*")):
        assert [*minified.parent.glob("LICENSE*")], f"{minified} has no licence beside it"
