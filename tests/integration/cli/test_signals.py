"""When the program is told to stop, at any time of its life."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.ready import ReadyInfo

ROOT = Path(__file__).resolve().parents[3]
PORTS = ("service_a", "service_b", "service_d", "control", "metrics")
FREE_PORTS = [word for port in PORTS for word in ("--set", f"server_ports.{port}=0")]
WORKERS = 3
IN_SERVICE = ("idle", "running")  # the one that scores has a job without an end
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

ON_ITS_OWN_TERMINAL = (
    sys.executable,
    "-c",
    (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    ),
)
"""Runs a command with the terminal on its standard input as that of its session."""


@contextmanager
def engine(
    folder: Path, *before: str, stdin: int = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the engine and yield at once; its standard error goes to `folder/log`."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*before, sys.executable, "main.py", "--data", str(folder / "data"), *FREE_PORTS],
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_python_handles(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Wait until the program has a handler of its own for a signal."""
    give_up_s = time.monotonic() + 20
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
        if int(caught, 16) >> (number - 1) & 1:
            return
        assert process.poll() is None
        assert time.monotonic() < give_up_s
        time.sleep(0.001)  # between two looks; the time to hit is short


def await_ready(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"ready {")


def worker_pids(folder: Path) -> set[int]:
    """Return the workers that have checked in."""
    listed = subprocess.run(
        [sys.executable, "main.py", "--data", str(folder / "data"), "workers", "--json"],
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=True,
    )
    return {worker["pid"] for worker in json.loads(listed.stdout) if worker["state"] in IN_SERVICE}


def wait_for(condition: Callable[[], bool], what: str) -> None:
    give_up_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.1)  # between two looks


@pytest.mark.parametrize("number", STOP_SIGNALS)
@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.8])
def test_a_signal_during_the_start_ends_it_with_0(
    tmp_path: Path, number: signal.Signals, after_s: float
) -> None:
    with engine(tmp_path) as process:
        # SIGTERM, because Python itself handles SIGINT before the program runs.
        wait_until_python_handles(process, signal.SIGTERM)
        time.sleep(after_s)  # what is tested: at no point of the start does it matter
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert out == b"" or out.startswith(b"ready {")
    assert not (tmp_path / "data" / "engine.json").exists()


def test_a_hangup_during_the_start_of_a_service_changes_nothing(tmp_path: Path) -> None:
    with engine(tmp_path) as process:
        wait_until_python_handles(process, signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        await_ready(process)
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_a_hangup_renews_the_workers_of_a_service(tmp_path: Path) -> None:
    with engine(tmp_path) as process:
        await_ready(process)
        wait_for(lambda: len(worker_pids(tmp_path)) == WORKERS, "all workers are ready")
        before = worker_pids(tmp_path)
        process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: len(worker_pids(tmp_path) - before) == len(before), "all workers are others"
        )
        process.terminate()
        assert process.wait(timeout=30) == 0
    log = (tmp_path / "log").read_text()
    assert '"event": "workers are replaced"' in log
    assert f'"workers": {WORKERS}' in log


@pytest.mark.parametrize(
    "then", [(), ("/bin/sh", "-c", 'exec "$@" </dev/null', "sh")], ids=["read", "redirected"]
)
def test_a_terminal_that_is_closed_stops_its_engine_in_order(
    tmp_path: Path, then: tuple[str, ...]
) -> None:
    leader, follower = pty.openpty()
    with engine(tmp_path, *ON_ITS_OWN_TERMINAL, *then, stdin=follower) as process:
        os.close(follower)
        await_ready(process)
        os.close(leader)
        assert process.wait(timeout=30) == 0
    log = (tmp_path / "log").read_text()
    assert '"signal": "SIGHUP"' in log
    assert '"event": "stopped"' in log


def test_a_terminal_that_is_closed_stops_its_agent_in_order() -> None:
    leader, follower = pty.openpty()
    agent = subprocess.Popen(
        [
            *(*ON_ITS_OWN_TERMINAL, sys.executable, "main.py"),
            *("worker", "--engine", "127.0.0.1:1", "--pool", "far", "--workers", "1"),
        ],
        cwd=ROOT,
        stdin=follower,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "TRELLIS_SECURITY__CONTROL_TOKEN": "token"},
    )
    os.close(follower)
    with agent:
        try:
            assert agent.stderr is not None
            assert any(b"cannot join the engine" in line for line in agent.stderr)
            os.close(leader)
            assert agent.wait(20) == 0
        finally:
            agent.kill()


def test_an_engine_under_nohup_does_not_mind_a_hangup(tmp_path: Path) -> None:
    with engine(tmp_path, "nohup") as process:
        await_ready(process)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert "SIGHUP" not in (tmp_path / "log").read_text()


def test_another_command_that_is_ended_early_does_not_seem_done(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        host, port = silent.getsockname()
        addresses = dict.fromkeys(PORTS, f"{host}:{port}")
        ReadyInfo(os.getpid(), addresses, "127.0.0.1:1", "t", datetime.now(UTC)).write(tmp_path)
        process = subprocess.Popen(
            [sys.executable, "main.py", "--data", str(tmp_path), "features", "1"],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        try:
            connection, _ = silent.accept()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == -signal.SIGTERM
            connection.close()
        finally:
            process.kill()
            process.wait()
