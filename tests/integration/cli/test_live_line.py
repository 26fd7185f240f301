"""What somebody at the engine's terminal sees of its workers."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.engine_process import ANY_FREE_PORTS, ROOT


class Terminal:
    """The demo on a terminal of 200 columns, and what it has shown."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        config_dir = shutil.copytree(ROOT / "configs", folder / "configs")
        settings = yaml.safe_load((config_dir / "app.yaml").read_text())
        settings["workers"] |= {
            "check_interval_s": "200ms",
            "check_deadline_s": "2s",
            "job_types": {"sleep": {"handler": "tests.support.job_bodies:sleep"}},
        }
        (config_dir / "app.yaml").write_text(yaml.safe_dump(settings))
        self._leader, follower = pty.openpty()
        ports = [word for setting in ANY_FREE_PORTS for word in ("--set", setting)]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "main.py", "--data", str(self.data_dir)),
                *("--config", str(config_dir), *ports, "run", "--demo"),
            ],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            cwd=ROOT,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        )
        os.close(follower)
        self._shown = ""

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """Return the first match in what is shown from the last one on."""
        give_up_s = time.monotonic() + 45
        while not (found := re.search(pattern, self._shown)):
            assert time.monotonic() < give_up_s, f"{pattern!r} is not in:\n{self._shown[-5000:]}"
            if select.select([self._leader], [], [], 0.5)[0]:
                seen = os.read(self._leader, 65_536).decode(errors="replace")
                self._shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
        self._shown = self._shown[found.end() :]
        return found

    def command(self, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "main.py", "--data", str(self.data_dir), *arguments, "--json"],
            cwd=ROOT,
            capture_output=True,
            timeout=30,
            check=True,
        )
        return json.loads(done.stdout)

    def running_worker(self, job_id: str) -> Any:
        """Return the worker that has the job; the live line has told that there is one."""
        give_up_s = time.monotonic() + 30
        while True:
            found = [w for w in self.command("workers") if w["job_id"] == job_id]
            if found:
                return found[0]
            assert time.monotonic() < give_up_s
            time.sleep(0.05)  # between two looks

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._leader)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    try:
        yield opened
    finally:
        opened.close()


def test_the_line_counts_workers_and_a_replaced_one_is_told_at_once(terminal: Terminal) -> None:
    terminal.wait_for(r"jobs, workers +grpc://")
    terminal.wait_for(r"3 workers, \d busy  ·  [1-9]\d* jobs  ·  [1-9]\d* uploads")

    job_id = terminal.command("jobs", "submit", "sleep")["job_id"]
    first = terminal.running_worker(job_id)
    os.kill(first["pid"], signal.SIGKILL)
    told = terminal.wait_for(r"worker ended.*")[0]
    assert f"slot={first['slot']} cause=died" in told
    assert f"job_id={job_id}" in told
    assert 'detail="killed by SIGKILL"' in told
    terminal.wait_for(r"1 replaced")

    second = terminal.running_worker(job_id)
    os.kill(second["pid"], signal.SIGSTOP)
    told = terminal.wait_for(r"worker ended.*")[0]
    assert f"slot={second['slot']} cause=silent" in told
    assert f"job_id={job_id}" in told
    assert 'at="sleep (job_bodies.py:' in told
    terminal.wait_for(r"2 replaced")

    os.kill(terminal.process.pid, signal.SIGTERM)
    os.kill(terminal.process.pid, signal.SIGTERM)  # the job would take ten minutes
    assert terminal.process.wait(30) == 0
