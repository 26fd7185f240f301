"""The program when nobody reads what it writes, or nothing can be written."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PORTS = ("service_a", "service_b", "service_d", "control", "metrics")
FREE_PORTS = [word for port in PORTS for word in ("--set", f"server_ports.{port}=0")]


def program(arguments: Sequence[object]) -> str:
    """Return the program's line for a shell, so that a shell can close its streams."""
    return " ".join(map(str, ("exec", sys.executable, ROOT / "main.py", *arguments)))


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    give_up_s = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, "the engine has ended"
        assert time.monotonic() < give_up_s
        time.sleep(0.02)  # between two looks


def run_and_stop(data: Path, redirections: str, **streams: int) -> int:
    """Run the engine until it is ready, stop it in order and return the exit code."""
    line = program(["--data", data, *FREE_PORTS])
    process = subprocess.Popen(["/bin/sh", "-c", f"{line} {redirections}"], cwd=ROOT, **streams)
    try:
        wait_for((data / "engine.json").exists, process)
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_an_engine_whose_ready_line_cannot_be_written_says_so_and_runs(
    tmp_path: Path, redirection: str
) -> None:
    log = tmp_path / "log"
    assert run_and_stop(tmp_path / "data", f"{redirection} 2>{log}") == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert "ready line not written" in [event["event"] for event in events]
    assert "stopped" in [event["event"] for event in events]


def test_an_engine_whose_ready_line_nobody_reads_runs(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run_and_stop(tmp_path / "data", f"2>{tmp_path / 'log'}", stdout=writer) == 0
    finally:
        os.close(writer)
    assert "ready line not written" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_an_engine_that_cannot_log_runs_and_stops_in_order(
    tmp_path: Path, redirection: str
) -> None:
    output = tmp_path / "output"
    assert run_and_stop(tmp_path / "data", f">{output} {redirection}") == 0
    if ">&- " not in redirection:
        assert output.read_text().startswith("ready {")


def test_an_engine_survives_its_terminal(tmp_path: Path) -> None:
    data = tmp_path / "data"
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), "--data", str(data), *FREE_PORTS],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=ROOT,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(follower)
    try:
        wait_for((data / "engine.json").exists, process)
        os.close(leader)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.5)  # thrice the time between two live lines
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_a_command_whose_output_is_lost_fails_in_one_line(redirection: str, reason: str) -> None:
    for command in ("check-config", "check-config --json", "--help"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{program([command])} {redirection}"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == f"error: cannot write to standard output: {reason}\n"


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_a_message_that_cannot_be_written_leaves_the_exit_code_as_it_is(redirection: str) -> None:
    for command in ("nonsense", "check-config --set a.b=c"):
        line = f"{program([command])} {redirection}"
        assert subprocess.run(["/bin/sh", "-c", line], cwd=ROOT, check=False).returncode == 2


def test_output_that_is_not_read_to_its_end_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "main.py", "check-config"],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
