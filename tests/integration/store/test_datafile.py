"""Who may open the data file, and what is said to those who may not."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import DataFileFailedError, DataFileLockedError
from engine.store import StoreSettings, open_store
from engine.store.datafile import hold_data_file

HOLDER = """
import sys, pathlib, time
from engine.store.datafile import hold_data_file
from engine.store.settings import StoreSettings
with hold_data_file(StoreSettings(path=pathlib.Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""

ROOT = Path(__file__).resolve().parents[3]


async def test_a_second_engine_is_refused_with_the_holders_pid(settings: StoreSettings) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-c", HOLDER, str(settings.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DataFileLockedError, match=rf"in use by process {holder.pid}\b"):
            async with open_store(settings):
                pass
        os.kill(holder.pid, signal.SIGKILL)
    async with open_store(settings) as store:
        assert store.writer.commit_seq == 0


async def test_a_file_that_is_no_data_file_is_refused(settings: StoreSettings) -> None:
    settings.path.parent.mkdir()
    settings.path.write_bytes(b"this is not a database" * 1_000)
    with pytest.raises(DataFileFailedError, match="cannot open"):
        async with open_store(settings):
            pass


async def test_a_file_that_was_cut_short_is_refused_with_what_to_do(
    settings: StoreSettings,
) -> None:
    async with open_store(settings):
        pass
    os.truncate(settings.path, settings.path.stat().st_size // 2)
    with pytest.raises(DataFileFailedError, match=r"cannot open .* restore a backup"):
        async with open_store(settings):
            pass


WRITER = """
import os, pathlib, signal, sys
from engine.store.datafile import hold_data_file
from engine.store.settings import StoreSettings
with hold_data_file(StoreSettings(path=pathlib.Path(sys.argv[1]))) as connection:
    connection.execute("CREATE TABLE numbers (number BIGINT)")
    for number in range(3):
        connection.execute("INSERT INTO numbers SELECT ? FROM range(100)", [number])
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def log_of_killed(settings: StoreSettings) -> Path:
    """The write-ahead log of a process that was killed after its third commit."""
    command = [sys.executable, "-c", WRITER, str(settings.path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    return settings.path.with_name(settings.path.name + ".wal")


def count_numbers(settings: StoreSettings) -> int:
    with hold_data_file(settings) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM numbers").fetchall()
        return int(count)


def test_a_commit_that_was_cut_short_is_dropped_and_the_next_one_counts(
    settings: StoreSettings, log_of_killed: Path
) -> None:
    os.truncate(log_of_killed, log_of_killed.stat().st_size - 5)
    with hold_data_file(settings) as connection:
        connection.execute("INSERT INTO numbers VALUES (3)")
    assert count_numbers(settings) == 201


def test_a_damaged_log_is_refused_with_what_to_do_and_can_be_cut_there(
    settings: StoreSettings, log_of_killed: Path
) -> None:
    size_bytes = log_of_killed.stat().st_size
    with log_of_killed.open("r+b") as log:
        log.seek(size_bytes - 100)
        log.write(bytes(50))
    with (
        pytest.raises(DataFileFailedError, match="write-ahead log is damaged; keep both") as raised,
        hold_data_file(settings),
    ):
        pass
    position = re.search(r"byte position (\d+)", str(raised.value))
    assert position is not None
    assert log_of_killed.stat().st_size == size_bytes
    os.truncate(log_of_killed, int(position[1]))
    assert count_numbers(settings) == 200


async def test_the_file_is_readable_by_its_owner_only(settings: StoreSettings) -> None:
    async with open_store(settings):
        assert settings.path.stat().st_mode & 0o077 == 0
        assert settings.path.parent.stat().st_mode & 0o077 == 0
