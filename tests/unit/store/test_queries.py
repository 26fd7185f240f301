import sys
from pathlib import Path

import pytest

from engine.store.queries import load_queries


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "sql_fixture"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sql_fixture", raising=False)
    return folder


def test_queries_are_found_by_name(package: Path) -> None:
    (package / "a.sql").write_text(
        "-- name: one\n-- What it does.\nSELECT 1\n-- name: two\nSELECT 2\n"
    )
    assert load_queries("sql_fixture") == {"one": "-- What it does.\nSELECT 1", "two": "SELECT 2"}


def test_a_name_used_twice_is_refused(package: Path) -> None:
    (package / "a.sql").write_text("-- name: one\nSELECT 1\n")
    (package / "b.sql").write_text("-- name: one\nSELECT 2\n")
    with pytest.raises(ValueError, match="'one' is defined twice"):
        load_queries("sql_fixture")


def test_sql_before_the_first_name_is_refused(package: Path) -> None:
    (package / "a.sql").write_text("SELECT 0\n-- name: one\nSELECT 1\n")
    with pytest.raises(ValueError, match="before the first"):
        load_queries("sql_fixture")
