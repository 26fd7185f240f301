"""`backup` and `restore` against the real program, under a stream of events."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.engine_process import ROOT, EngineProcess

LARGE_BYTES = 4 * 2**30


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def facts_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def wait_for_events(engine: EngineProcess, least: int) -> None:
    give_up_s = time.monotonic() + 60
    while True:
        counters = facts_of(run("--data", engine.data_dir, "status", "--json"))["metrics"]
        if counters.get("trellis_intake_events_total", 0) >= least:
            return
        assert time.monotonic() < give_up_s, engine.log_tail()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("backup")
    with EngineProcess(folder / "data", arguments=["run", "--demo"]) as engine:
        wait_for_events(engine, 300)
        yield engine
        assert engine.stop() == 0


def test_restored_backup_is_one_commit_of_a_busy_engine_and_runs(
    busy: EngineProcess, tmp_path: Path
) -> None:
    artifact = busy.data_dir / "blobs/objects/one"
    artifact.parent.mkdir(parents=True, exist_ok=True)
    artifact.write_bytes(b"content")
    made = facts_of(run("--data", busy.data_dir, "backup", tmp_path / "backup", "--json"))
    restored = facts_of(run("restore", tmp_path / "backup", tmp_path / "restored", "--json"))
    assert restored["rows"] == made["rows"] > 300
    assert restored["commit_seq"] == made["commit_seq"]
    assert (tmp_path / "restored/blobs/objects/one").read_bytes() == b"content"
    assert (tmp_path / "restored").stat().st_mode & 0o077 == 0
    with duckdb.connect(str(tmp_path / "restored/trellis.duckdb"), read_only=True) as file:
        # Rows and the offsets that stand for them are of one commit, or this does not come out.
        [(taken,)] = file.execute(
            "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM dead_letters)"
        ).fetchall()
        [(consumed,)] = file.execute("SELECT sum(next_offset) FROM kafka_offsets").fetchall()
        assert taken == consumed
    artifact.unlink()
    with EngineProcess(tmp_path / "restored") as again:
        assert again.stop() == 0


def test_backup_into_a_folder_that_holds_something_touches_nothing(
    busy: EngineProcess, tmp_path: Path
) -> None:
    (tmp_path / "mine").touch()
    done = run("--data", busy.data_dir, "backup", tmp_path)
    assert done.returncode == 1
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_backup_that_finds_no_room_names_its_place_and_why(busy: EngineProcess) -> None:
    done = run("--data", busy.data_dir, "backup", "/proc/self/backup")  # takes no folders
    assert done.returncode == 1
    assert "error: the backup to /proc/self/backup failed, and nothing is left" in done.stderr


def test_restore_into_the_folder_of_a_running_engine_is_refused(
    busy: EngineProcess, tmp_path: Path
) -> None:
    facts_of(run("--data", busy.data_dir, "backup", tmp_path / "backup", "--json"))
    done = run("restore", tmp_path / "backup", busy.data_dir)
    assert done.returncode == 1
    assert "not empty" in done.stderr


def test_killed_backup_leaves_nothing_that_looks_whole(busy: EngineProcess, tmp_path: Path) -> None:
    large = busy.data_dir / "blobs/objects/large"
    large.parent.mkdir(parents=True, exist_ok=True)
    large.touch()
    os.truncate(large, LARGE_BYTES)  # no room on the disk, and seconds to copy
    backing_up = subprocess.Popen(
        command("--data", busy.data_dir, "backup", tmp_path / "backup"), cwd=ROOT
    )
    try:
        give_up_s = time.monotonic() + 60
        while not list(tmp_path.rglob("large")):
            assert backing_up.poll() is None
            assert time.monotonic() < give_up_s
        backing_up.send_signal(signal.SIGKILL)
    finally:
        backing_up.kill()
        backing_up.wait()
        large.unlink()
    [half] = tmp_path.iterdir()
    assert half.name.startswith(".backup.partial-")
    done = run("restore", half, tmp_path / "restored")
    assert done.returncode == 1
    assert "no whole backup" in done.stderr
    assert not (tmp_path / "restored").exists()
    # Who was killed stands in nobody's way.
    facts_of(run("--data", busy.data_dir, "backup", tmp_path / "backup", "--json"))


def test_backup_of_an_engine_that_was_started_anew_meanwhile_is_to_be_run_again(
    busy: EngineProcess, tmp_path: Path
) -> None:
    file = busy.data_dir / "control-token"
    token = file.read_text()
    file.write_text("of-the-engine-before")
    try:
        done = run("--data", busy.data_dir, "backup", tmp_path / "backup")
    finally:
        file.write_text(token)
    assert done.returncode == 1
    assert "started anew since; run this again" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_backup_says_that_no_engine_runs(tmp_path: Path) -> None:
    done = run("--data", tmp_path / "none", "backup", tmp_path / "backup")
    assert done.returncode == 1
    assert "no engine is running" in done.stderr
    assert list(tmp_path.iterdir()) == []
