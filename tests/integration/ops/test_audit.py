"""ops/audit.sh: what it finds fails, and what it cannot look at is said and does not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]

FAKE_UV = """\
#!/usr/bin/env bash
# `uv pip compile` leaves the lock as it is; `uv tool run ... --output FILE` writes the report.
here="$(dirname "$0")"
if [ "$1" = pip ]; then
    [ ! -e "$here/index-is-away" ] || exit 2
    cat "$here/compile-says" >&2 2>/dev/null || true
    exit 0
fi
printf '%s\\n' "$@" >"$here/asked"
while [ $# -gt 1 ]; do
    [ "$1" != --output ] || output="$2"
    shift
done
[ ! -e "$here/report" ] || { cp "$here/report" "$output"; exit 1; }
echo "ConnectionError: nobody answers" >&2
exit 1
"""


class Checkout:
    """The files that the script reads, and an `uv` that answers as it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "ops").mkdir()
        for name in ("ops/audit.sh", "ops/audit-accepted.txt", *map(str, self._requirements())):
            shutil.copy(ROOT / name, folder / name)
        self.uv = folder / "uv"
        self.uv.write_text(FAKE_UV)
        self.uv.chmod(0o700)

    @staticmethod
    def _requirements() -> list[Path]:
        return [path.relative_to(ROOT) for path in ROOT.glob("requirements*")]

    def report(self, *packages: dict[str, Any]) -> None:
        (self.folder / "report").write_text(json.dumps({"dependencies": packages}))

    def audit(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.folder / "ops/audit.sh")],
            env={"PATH": "/usr/bin:/bin", "UV": str(self.uv), "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_locks_without_fault_pass(checkout: Checkout) -> None:
    checkout.report({"name": "trio", "version": "1", "vulns": []})
    done = checkout.audit()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "audit: nothing to mend was found\n"


def test_a_database_that_is_away_is_told_and_fails_nothing(checkout: Checkout) -> None:
    done = checkout.audit()
    assert done.returncode == 0
    assert "requirements.lock was not compared with known vulnerabilities" in done.stderr
    assert "ConnectionError: nobody answers" in done.stderr
    assert done.stdout == "audit: nothing to mend was found in what could be looked at\n"


def test_packages_that_the_database_does_not_know_are_no_clean_bill(checkout: Checkout) -> None:
    checkout.report(
        {"name": "trio", "version": "1", "vulns": []}, {"name": "h2", "skip_reason": ""}
    )
    done = checkout.audit()
    assert done.returncode == 0
    assert "1 of 2 packages are not in the database that answered" in done.stderr
    assert "in what could be looked at" in done.stdout


def test_a_vulnerability_fails_and_is_named(checkout: Checkout) -> None:
    found = {"id": "GHSA-x", "fix_versions": ["2.0"]}
    checkout.report({"name": "trio", "version": "1.0", "vulns": [found]})
    done = checkout.audit()
    assert done.returncode == 1
    assert "requirements.lock: trio 1.0: GHSA-x, fixed in 2.0" in done.stderr
    assert "GHSA-847f-9342-265h" in (checkout.folder / "asked").read_text()


def test_a_pin_without_a_hash_fails(checkout: Checkout) -> None:
    lock = checkout.folder / "requirements.lock"
    lock.write_text(lock.read_text() + "evil==6.6.6\n")
    done = checkout.audit()
    assert done.returncode == 1
    assert "requirements.lock: evil==6.6.6 has no hash" in done.stderr


def test_an_index_that_is_away_is_told_and_fails_nothing(checkout: Checkout) -> None:
    (checkout.folder / "index-is-away").touch()
    done = checkout.audit()
    assert done.returncode == 0
    assert "was not compared with requirements.txt" in done.stderr


def test_a_withdrawn_version_fails(checkout: Checkout) -> None:
    (checkout.folder / "compile-says").write_text("warning: `trio==0.35.0` is yanked\n")
    done = checkout.audit()
    assert done.returncode == 1
    assert "`trio==0.35.0` is yanked" in done.stderr
