"""The scripts of `ops/`: as a shell reads them, and the thin ones as they run."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.engine_process import ROOT

SCRIPTS = sorted((ROOT / "ops").glob("*.sh"))


def run(script: str, *arguments: str | Path, python: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", str(ROOT / "ops" / script), *map(str, arguments)],
        env={**os.environ, "PYTHON": python},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def backing_up(tmp_path: Path) -> str:
    """An interpreter that makes whole-looking backups, or fails if its folder says so."""
    python = tmp_path / "python"
    python.write_text(
        "#!/usr/bin/env bash\n"
        'target="${*: -1}"\n'
        '[ ! -e "${target%/*}/failing" ] || exit 1\n'
        'mkdir "$target"; echo "{}" >"$target/manifest.json"\n'
    )
    python.chmod(0o755)
    return str(python)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_script_is_clean_to_shellcheck(script: Path) -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        [shellcheck, "--shell=bash", "--external-sources", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_backup_keeps_the_newest_and_what_is_not_its_own(tmp_path: Path, backing_up: str) -> None:
    folder = tmp_path / "backups"
    for name in ("trellis-20250101T000000Z", "trellis-20250102T000000Z"):
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").write_text("{}")
    (folder / "trellis-20240101T000000Z").mkdir()  # no manifest: not whole, not one of them
    (folder / "mine").touch()
    done = run("backup.sh", folder, "--keep", "2", python=backing_up)
    assert done.returncode == 0, done.stderr
    kept = sorted(path.name for path in folder.iterdir())
    assert kept[:3] == ["mine", "trellis-20240101T000000Z", "trellis-20250102T000000Z"]
    assert len(kept) == 4


def test_what_killed_backups_left_is_removed_after_a_day(tmp_path: Path, backing_up: str) -> None:
    folder = tmp_path / "backups"
    left = folder / ".trellis-20250101T000000Z.partial-abc"
    under_way = folder / ".trellis-20250102T000000Z.partial-def"
    for path in (left, under_way):
        path.mkdir(parents=True)
        (path / "trellis.duckdb").touch()
    two_days_ago_s = time.time() - 2 * 86_400
    os.utime(left, (two_days_ago_s, two_days_ago_s))
    assert run("backup.sh", folder, python=backing_up).returncode == 0
    assert left.is_dir(), "nothing is removed unless asked for"
    for path in folder.glob("trellis-*"):
        shutil.rmtree(path)  # of the same second, perhaps
    assert run("backup.sh", folder, "--keep", "3", python=backing_up).returncode == 0
    assert not left.exists()
    assert under_way.is_dir()


def test_failed_backup_removes_no_older_one(tmp_path: Path, backing_up: str) -> None:
    folder = tmp_path / "backups"
    old = folder / "trellis-20250101T000000Z"
    old.mkdir(parents=True)
    (old / "manifest.json").write_text("{}")
    (folder / "failing").touch()
    assert run("backup.sh", folder, "--keep", "1", python=backing_up).returncode == 1
    assert old.is_dir()


@pytest.mark.parametrize("arguments", [(), ("--keep", "2"), ("folder", "--keep", "0")])
def test_backup_says_how_it_is_used(
    tmp_path: Path, backing_up: str, arguments: tuple[str, ...]
) -> None:
    placed = [str(tmp_path / one) if one == "folder" else one for one in arguments]
    done = run("backup.sh", *placed, python=backing_up)
    assert done.returncode == 2
    assert "Usage: bash ops/backup.sh FOLDER" in done.stderr
    assert not (tmp_path / "folder").exists()


def test_restore_refuses_what_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    done = run("restore.sh", tmp_path / "none", tmp_path / "new", python=sys.executable)
    assert done.returncode == 1
    assert "no whole backup" in done.stderr
    assert not (tmp_path / "new").exists()
    assert run("restore.sh", tmp_path, python=sys.executable).returncode == 2


def test_restored_folder_is_what_the_manifest_says(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    manifest = {
        "format": 1, "created_at": "2026-01-01T00:00:00Z", "commit_seq": 1, "files": [], "rows": {},
    }  # fmt: skip
    (backup / "manifest.json").write_text(json.dumps(manifest))
    done = run("restore.sh", backup, tmp_path / "new", python=sys.executable)
    assert done.returncode == 1
    assert "holds no trellis.duckdb" in done.stderr
    assert not (tmp_path / "new").exists()
