"""The lock files cover the requirements, and every direct dependency has its reason."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)


def pins(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text()
    return {m["name"].lower().replace("_", "-"): m["version"] for m in PIN.finditer(text)}


@pytest.mark.parametrize("name", ["requirements", "requirements-traces", "requirements-dev"])
def test_the_lock_holds_every_pin(name: str) -> None:
    locked = pins(f"{name}.lock")
    for package, version in pins(f"{name}.txt").items():
        assert locked.get(package) == version, f"run ops/lock.sh: {package} in {name}.lock"


@pytest.mark.parametrize("name", ["requirements", "requirements-traces", "requirements-dev"])
def test_every_locked_package_has_hashes(name: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / f"{name}.lock").read_text().strip())
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("name", ["requirements", "requirements-traces", "requirements-dev"])
def test_every_direct_dependency_has_its_reason(name: str) -> None:
    for line in (ROOT / f"{name}.txt").read_text().splitlines():
        if line and not line.startswith(("#", "-r")):
            assert re.search(r"\s# \S", line), f"no reason: {line}"


@pytest.mark.parametrize("name", ["requirements-traces", "requirements-dev"])
def test_more_requirements_do_not_change_what_runs(name: str) -> None:
    locked = pins(f"{name}.lock")
    for package, version in pins("requirements.lock").items():
        assert locked[package] == version, package
