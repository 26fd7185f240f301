"""The unit for systemd, as systemd itself reads it."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "ops/trellis.service"
DOCUMENT = (ROOT / "docs/operations.md").read_text()


def service() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return parser["Service"]


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/trellis", str(tmp_path)))
    done = subprocess.run(
        [analyze, "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_stop_reload_and_failure_are_as_the_engine_means_them() -> None:
    unit = service()
    assert unit["KillMode"] == "mixed", "the engine itself stops its workers"
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["RestartPreventExitStatus"] == "2", "a configuration that cannot be used"
    assert unit["OOMPolicy"] == "continue", "a worker's end is no end of the service"


def test_unit_writes_to_its_data_alone_as_a_user_without_rights() -> None:
    unit = service()
    assert (unit["ProtectSystem"], unit["StateDirectory"]) == ("strict", "trellis")
    assert unit["Environment"] == "TRELLIS_PATHS__DATA=/var/lib/trellis"
    assert (unit["NoNewPrivileges"], unit["CapabilityBoundingSet"]) == ("yes", "")
    assert (
        f"useradd --system --home-dir /var/lib/trellis --shell /usr/sbin/nologin {unit['User']}"
        in (DOCUMENT)
    )
    assert re.search(r"^\$ sudo cp /opt/trellis/ops/trellis\.service ", DOCUMENT, re.MULTILINE)
