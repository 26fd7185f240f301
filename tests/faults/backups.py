"""Backups taken while everything else goes wrong: each is all of the data as of one commit."""

import random
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import duckdb
import trio

from engine.store.backup_files import read_manifest
from tests.faults.audit import audit
from tests.faults.moved_rows import MOVED_TABLES, add_up, reading
from tests.faults.registry import Fault, Target
from tests.support.engine_process import MAIN

_PATIENCE_S: Final = 120.0
_PAUSE_S: Final = 0.2
_APPENDED: Final = ("job_log", "job_outcomes", "worker_log", "feature_history", "model_log")
"""Tables whose rows neither change nor move."""
_TOPIC: Final = "trellis.events"

Sums = dict[str, tuple[int, int]]
"""Rows of each table, and the sum of their hashes."""


@attrs.frozen
class TakeBackup:
    """A backup, until there is one; it is restored, and compared with what the engine has later."""

    name: str = "take_backup"
    needs: frozenset[str] = frozenset()
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Take it and restore it."""
        folder = target.folder / f"backup-{rng.randrange(1 << 32):08x}"
        folder.mkdir()
        try:
            with trio.fail_after(_PATIENCE_S):
                attempts = await trio.to_thread.run_sync(
                    partial(_insist, target, folder), abandon_on_cancel=True
                )
            return await trio.to_thread.run_sync(_look, target, folder, attempts)
        finally:
            await trio.to_thread.run_sync(shutil.rmtree, folder)


def _insist(target: Target, folder: Path) -> int:
    """Back up until that has worked; return how often it was tried."""
    give_up_at_s = time.monotonic() + _PATIENCE_S
    attempts = 0
    while time.monotonic() < give_up_at_s:
        attempts += 1
        done = _run("backup", folder / "backup", "--data", target.data_dir)
        if done.returncode == 0:
            break
        if "Traceback" in done.stderr or (folder / "backup").exists():
            target.violations.append(f"a backup that failed: {done.stderr}")
        time.sleep(_PAUSE_S)
    return attempts


def _look(target: Target, folder: Path, attempts: int) -> str:
    restored = folder / "restored"
    done = _run("restore", folder / "backup", restored)
    if done.returncode != 0:
        target.violations.append(f"a backup cannot be restored: {done.stderr}")
        return f"not restored, after {attempts} attempts"
    commit_seq = read_manifest(folder / "backup").commit_seq
    what = f"the backup of commit {commit_seq}"
    with reading(restored) as connection:
        later = _find_later(connection, commit_seq)
        sums = _add_up(connection, commit_seq)
    target.violations += [f"{what} has later rows in {table}" for table in later]
    if (old := target.facilities.get("old_rows")) is not None:
        target.violations += [f"{what}: {text}" for text in old.find_misplaced(restored)]
    if "kept_broker" in target.facilities:
        events = audit(restored / "trellis.duckdb", _TOPIC, (), all_consumed=False)
        if not events.clean:
            target.violations.append(f"{what}: events: {events}")
    target.audits.append(partial(_compare, commit_seq, sums))
    rows = sum(count for count, _ in sums.values())
    return f"{rows:,} rows as of commit {commit_seq}, after {attempts} attempts"


def _compare(commit_seq: int, sums: Sums, data_dir: Path) -> list[str]:
    """Compare a backup with the data folder that it was taken of, much later."""
    with reading(data_dir) as connection:
        now = _add_up(connection, commit_seq)
    return [
        f"the backup of commit {commit_seq} has other rows in {table} than the engine up to that "
        f"commit: {sums[table]}, not {now[table]}"
        for table in sums
        if sums[table] != now[table]
    ]


def _find_later(connection: duckdb.DuckDBPyConnection, commit_seq: int) -> list[str]:
    tables = connection.execute(
        "SELECT table_name FROM duckdb_columns() "
        "WHERE column_name = 'commit_seq' AND database_name = 'trellis'"
    ).fetchall()
    return [
        table
        for (table,) in tables
        if connection.execute(
            f"SELECT count(*) FROM {table} WHERE commit_seq > {commit_seq}"
        ).fetchall()
        != [(0,)]
    ]


def _add_up(connection: duckdb.DuckDBPyConnection, commit_seq: int) -> Sums:
    names = {table: table for table in _APPENDED}
    names |= {table: f"memory.all_{table}" for table in MOVED_TABLES}
    return {
        table: add_up(connection, f"SELECT * FROM {name} WHERE commit_seq <= {commit_seq}")
        for table, name in names.items()
    }


def _run(command: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(MAIN), command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )


FAULTS: tuple[Fault, ...] = (TakeBackup(),)
