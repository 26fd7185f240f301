"""What a process keeps to itself: seen from outside, by another process of the same user."""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cr3t-in-the-environment"
BECOME_NOBODY = """
if os.geteuid() == 0:
    # Root may look into everything.
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    # A change of user closes a process; one that was started by its user is open.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
"""
PROGRAM = """
import ctypes, os, sys
sys.path.insert(0, {root!r})
from engine.own_process import keep_to_itself
sys.stdin.readline()
{become_nobody}
{call}
open({made!r}, "w").close()
print("ready", flush=True)
sys.stdin.read()
"""
READ = f"""
import ctypes, os, sys
{BECOME_NOBODY}
sys.stdout.buffer.write(open(f"/proc/{{sys.argv[1]}}/environ", "rb").read())
"""


@contextmanager
def process(folder: Path, call: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that has made the call and a file `made`, as a user without privileges."""
    folder.chmod(0o777)
    made = str(folder / "made")
    program = PROGRAM.format(root=str(ROOT), become_nobody=BECOME_NOBODY, call=call, made=made)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env={"PATH": os.defpath, "SECRET": SECRET},
        umask=0,
    )
    with child:
        try:
            resource.prlimit(child.pid, resource.RLIMIT_CORE, (hard, hard))
            assert child.stdout
            assert child.stdin
            child.stdin.write(b"\n")
            child.stdin.flush()
            assert child.stdout.readline() == b"ready\n"
            yield child
        finally:
            child.kill()


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that another user reaches."""
    folder = tmp_path_factory.mktemp("open")
    for above in (folder, *folder.parents):
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o011)
    return folder


def read_environment(pid: int) -> bytes:
    return subprocess.run(
        [sys.executable, "-c", READ, str(pid)],
        capture_output=True,
        check=False,
    ).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_processes_of_the_same_user_cannot_read_the_environment(open_folder: Path) -> None:
    with process(open_folder, "keep_to_itself()") as child:
        assert read_environment(child.pid) == b""
    with process(open_folder, "keep_to_itself(debuggable=True)") as child:
        assert SECRET.encode() in read_environment(child.pid)


@pytest.mark.parametrize("debuggable", [False, True])
def test_a_crash_leaves_no_memory_behind(open_folder: Path, debuggable: bool) -> None:
    for call, number, dumped in (
        ("", signal.SIGABRT, True),
        (f"keep_to_itself(debuggable={debuggable})", signal.SIGABRT, False),
        (f"keep_to_itself(debuggable={debuggable})", signal.SIGSEGV, False),
    ):
        with process(open_folder, call) as child:
            child.send_signal(number)
            _, status = os.waitpid(child.pid, 0)
            child.returncode = -number
        assert os.WTERMSIG(status) == number
        if dumped and not os.WCOREDUMP(status):
            pytest.skip("this system writes no core files")
        assert os.WCOREDUMP(status) == dumped


def test_no_child_can_raise_the_limit_again(open_folder: Path) -> None:
    with process(open_folder, "keep_to_itself()") as child:
        limits = Path(f"/proc/{child.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


def test_what_it_makes_is_its_owners_alone(open_folder: Path) -> None:
    with process(open_folder, "keep_to_itself()"):
        assert (open_folder / "made").stat().st_mode & 0o777 == 0o600
