"""Who may open the data file, and what is said to those who may not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import DataFileFailedError, DataFileLockedError
from engine.store import StoreSettings, open_store

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


async def test_the_file_is_readable_by_its_owner_only(settings: StoreSettings) -> None:
    async with open_store(settings):
        assert settings.path.stat().st_mode & 0o077 == 0
        assert settings.path.parent.stat().st_mode & 0o077 == 0
