"""An engine that is killed leaves nothing behind, or what it left is found by the next one."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from engine.workers.marks import new_mark
from tests.support.engine_process import ROOT
from tests.support.worker_host import is_alive, open_test_host, title_of, until

BODIES = ("sleep", "loop_forever", "hold_lock_in_c", "ignore_signals", "fork_children:2",
          "leave_daemon")  # fmt: skip


@contextmanager
def lone_host(folder, *bodies):
    """Run a host in another process; yield the process and what it has started."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.lone_host", str(folder), *bodies],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    started = []
    try:
        started = json.loads(process.stdout.readline())
        yield process, started
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for pid in started:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("stopped", ["", "trellis"], ids=["running", "all stopped"])
async def test_nothing_is_left_of_a_killed_engine(tmp_path, stopped):
    with lone_host(tmp_path, *BODIES) as (process, started):
        assert len(started) >= 1 + len(BODIES) + 3
        if stopped:
            for pid in [pid for pid in started if title_of(pid).startswith(stopped)]:
                os.kill(pid, signal.SIGSTOP)
        process.kill()
        await until(lambda: not any(map(is_alive, started)), timeout_s=2.0)


async def test_leftovers_are_removed_and_strangers_left_alone(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with (
        lone_host(ours, "leave_daemon") as (process, left),
        lone_host(theirs, "leave_daemon") as (_, strangers),
    ):
        [zygote] = [pid for pid in left if title_of(pid) == "trellis zygote"]
        os.kill(zygote, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(zygote, signal.SIGKILL)
        process.kill()
        daemons = [pid for pid in left if is_alive(pid) and title_of(pid).startswith("daemon")]
        await until(lambda: [pid for pid in left if is_alive(pid)] == daemons, timeout_s=2.0)
        assert daemons
        folder = ours / "workers" / "forgotten"
        folder.mkdir()
        async with open_test_host(ours):
            assert not any(map(is_alive, daemons))
            assert all(map(is_alive, strangers))
            assert not folder.exists()


async def test_folders_are_told_apart_whatever_their_paths(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    one, two, link = (new_mark(tmp_path / name) for name in ("one", "two", "link"))
    assert one.folder == link.folder != two.folder
    assert one != link
