"""Folders of agents: held while the agent lives, removed by the next one after that."""

import subprocess
import sys
import time
from contextlib import contextmanager
from signal import SIGKILL

from engine.workers.agent_folder import open_agent_folder, remove_abandoned
from engine.workers.marks import new_mark
from tests.support.agent_process import AgentProcess
from tests.support.engine_process import ROOT

HOLD = """
import sys
from pathlib import Path
from engine.workers.agent_folder import open_agent_folder
with open_agent_folder(Path(sys.argv[1])) as folder:
    (folder / "scratch").mkdir()
    print(folder, flush=True)
    sys.stdin.read()
"""
COME_AND_GO = """
import sys
from pathlib import Path
from engine.workers.agent_folder import open_agent_folder
for _ in range(40):
    with open_agent_folder(Path(sys.argv[1])) as folder:
        (folder / "file").write_text("x")
        (folder / "file").unlink()
"""


@contextmanager
def running(code, parent):
    with subprocess.Popen(
        [sys.executable, "-c", code, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_folder_of_a_killed_agent_is_removed_by_the_next_one(tmp_path):
    with running(HOLD, tmp_path) as agent:
        left = agent.stdout.readline().strip()
        agent.kill()
        agent.wait()
    assert [str(one) for one in tmp_path.iterdir()] == [left]
    with open_agent_folder(tmp_path) as folder:
        assert [*tmp_path.iterdir()] == [folder]
    assert [*tmp_path.iterdir()] == []


def test_folder_of_a_living_agent_is_left_alone(tmp_path):
    with running(HOLD, tmp_path) as agent:
        held = agent.stdout.readline().strip()
        with open_agent_folder(tmp_path):
            assert remove_abandoned(tmp_path) == []
        assert [str(one) for one in tmp_path.iterdir()] == [held]


def test_agents_that_start_at_once_take_no_folder_from_each_other(tmp_path):
    with (
        running(COME_AND_GO, tmp_path) as first,
        running(COME_AND_GO, tmp_path) as second,
        running(COME_AND_GO, tmp_path) as third,
    ):
        assert [one.wait(60) for one in (first, second, third)] == [0, 0, 0]
    assert [*tmp_path.iterdir()] == []


def test_processes_that_a_killed_agent_has_left_go_with_its_folder(tmp_path):
    abandoned = tmp_path / "trellis-worker-gone"
    abandoned.mkdir()
    with subprocess.Popen(["sleep", "60"], env=new_mark(abandoned).variable) as orphan:
        try:
            assert remove_abandoned(tmp_path) == [abandoned]
            assert orphan.wait(10) == -SIGKILL
        finally:
            orphan.kill()


def test_what_only_looks_like_a_folder_of_an_agent_is_left_alone(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "trellis-worker-link").symlink_to(elsewhere)
    (tmp_path / "trellis-worker-file").write_text("")
    assert remove_abandoned(tmp_path) == []
    assert len([*tmp_path.iterdir()]) == 3
    assert elsewhere.is_dir()


def test_the_command_removes_what_it_left_when_it_was_killed(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    agent = AgentProcess(
        tmp_path / "log", "127.0.0.1:9", "token-" * 8, environment={"TMPDIR": str(temporary)}
    )

    def folder_other_than(known):
        give_up_s = time.monotonic() + 30
        while time.monotonic() < give_up_s:
            if found := {*temporary.glob("trellis-worker-*")} - known:
                return found
            time.sleep(0.05)
        raise AssertionError(agent.log())

    with agent:
        left = folder_other_than(set())
        agent.signal(SIGKILL)
        agent.wait()
    with agent:
        folder_other_than(left)
        assert not left & {*temporary.iterdir()}
