"""docs/security.md: what it says is proven names a test that is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## What is defended")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| threat ")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_defence_names_tests_that_are_there(row: list[str]) -> None:
    threat, defence, tests = row
    assert threat
    assert defence
    names = re.findall(r"`([^`]+)`", tests)
    assert names, "say what proves it"
    for name in names:
        path = ROOT / "tests" / name
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
