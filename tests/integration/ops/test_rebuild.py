"""`ops/rebuild.sh` against a `docker` that writes down what it is asked: no engine runs here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests.support.engine_process import ROOT

RECORDER = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$RECORD"
case " $* " in *" ${FAILING:-nothing} "*) exit 1 ;; esac
"""
ALL = "redis kafka azurite prometheus grafana"


@attrs.frozen
class Project:
    """A copy of what the script reads, with a password set."""

    folder: Path

    def rebuild(
        self, *arguments: str, failing: str = "", path: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        usual = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/bash", str(self.folder / "ops/rebuild.sh"), *arguments],
            env={
                "PATH": usual if path is None else path,
                "RECORD": str(self.folder / "record"),
                "FAILING": failing or "nothing",
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def asked(self) -> list[str]:
        """Return the commands that were run, without looks at whether docker is there."""
        record = self.folder / "record"
        lines = record.read_text().splitlines() if record.exists() else []
        record.unlink(missing_ok=True)
        return [line for line in lines if line not in ("compose version", "info")]

    def write(self, file: str, text: str) -> None:
        (self.folder / "configs" / file).write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "ops").mkdir()
    shutil.copy(ROOT / "ops/rebuild.sh", tmp_path / "ops")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "ops/prometheus/targets", tmp_path / "ops/prometheus/targets")
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin/docker"
    docker.write_text(RECORDER)
    docker.chmod(0o755)
    project = Project(tmp_path)
    project.write("containers/grafana.env", "GF_SECURITY_ADMIN_PASSWORD=changed\n")
    return project


def commands(*, wipe: bool = False) -> list[str]:
    prefix = "compose --profile engine"
    return [
        f"{prefix} config --quiet",
        f"{prefix} down --remove-orphans --timeout 30{' --volumes' if wipe else ''}",
        f"{prefix} pull --ignore-buildable {ALL}",
        f"{prefix} up --detach --wait --wait-timeout 180 {ALL}",
    ]


def test_containers_are_torn_down_built_and_waited_for_each_time_anew(project: Project) -> None:
    for _ in range(2):
        done = project.rebuild()
        assert done.returncode == 0, done.stderr
        assert project.asked() == commands()
        assert "http://127.0.0.1:9090" in done.stdout


def test_engine_is_built_and_started_only_when_asked_for(project: Project) -> None:
    project.write("containers/engine.env", "TRELLIS_SECURITY__AUTH_TOKEN=a-token\n")
    done = project.rebuild("--engine")
    assert done.returncode == 0, done.stderr
    assert "put engine:9464 into ops/prometheus/targets/engine.yml" in done.stderr
    asked = project.asked()
    assert "compose --profile engine build --pull engine" in asked
    assert asked[-1].endswith(f"{ALL} engine")


def test_volumes_go_only_by_wipe_which_names_what_is_lost(project: Project) -> None:
    done = project.rebuild("--wipe", "--yes")
    assert done.returncode == 0, done.stderr
    assert project.asked() == commands(wipe=True)
    for volume in (*ALL.split(), "engine"):
        assert f"  {volume}: " in done.stderr


def test_wipe_without_a_confirmation_touches_nothing(project: Project) -> None:
    done = project.rebuild("--wipe")
    assert done.returncode == 1
    assert project.asked() == []


@pytest.mark.parametrize(("answer", "goes_on"), [("wipe", True), ("yes", False), ("", False)])
def test_wipe_asks_on_a_terminal(project: Project, answer: str, goes_on: bool) -> None:
    terminal, script_end = os.openpty()
    try:
        os.write(terminal, f"{answer}\n".encode())
        done = subprocess.run(
            ["/bin/bash", str(project.folder / "ops/rebuild.sh"), "--wipe"],
            env={
                "PATH": f"{project.folder / 'bin'}:{os.environ['PATH']}",
                "RECORD": str(project.folder / "record"),
            },
            stdin=script_end,
            capture_output=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(script_end)
    assert (done.returncode == 0) is goes_on
    assert project.asked() == (commands(wipe=True) if goes_on else [])


def test_dry_run_prints_every_command_and_runs_none(project: Project) -> None:
    done = project.rebuild("--dry-run", "--wipe")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"+ docker {line}" for line in commands(wipe=True)]
    assert not (project.folder / "record").exists()


def test_dry_run_needs_no_docker(project: Project) -> None:
    (project.folder / "bin/docker").unlink()
    tools = project.folder / "bin"
    for name in ("sed", "grep", "tail", "dirname"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = project.rebuild("--dry-run", path=str(tools))
    assert done.returncode == 0, done.stderr
    refused = project.rebuild(path=str(tools))
    assert refused.returncode == 1
    assert "docker is not on PATH" in refused.stderr


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("containers/grafana.env", "#GF_SECURITY_ADMIN_PASSWORD=x\n", "set GF_SECURITY_ADMIN_PASS"),
        ("containers/grafana.env", 'GF_SECURITY_ADMIN_PASSWORD=""\n', "set GF_SECURITY_ADMIN_PASS"),
        ("containers/grafana.env", "GF_SECURITY_ADMIN_PASSWORD=  \n", "set GF_SECURITY_ADMIN_PASS"),
        ("redis.env", "REDIS_URL=redis://x\nhunter2 secret\n", "redis.env: line 2 is not KEY=VA"),
    ],
)
def test_environment_that_cannot_work_stops_it_before_anything(
    project: Project, file: str, text: str, told: str
) -> None:
    project.write(file, text)
    done = project.rebuild()
    assert done.returncode == 1
    assert told in done.stderr
    assert "hunter2" not in done.stderr
    assert project.asked() == []


def test_files_that_are_missing_are_told_by_what_they_lack_alone(project: Project) -> None:
    for name in ("grafana.env", "engine.env"):
        (project.folder / "configs/containers" / name).unlink()
    done = project.rebuild("--engine")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "rebuild.sh: configs/containers/grafana.env: set GF_SECURITY_ADMIN_PASSWORD",
        "rebuild.sh: configs/containers/engine.env: set TRELLIS_SECURITY__AUTH_TOKEN",
    ]


def test_values_that_the_engine_refuses_stop_it_before_anything(project: Project) -> None:
    python = project.folder / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    command = f'cd "{ROOT}" && exec "{sys.executable}" main.py --config "{project.folder}/configs"'
    python.write_text(f"#!/bin/sh\n{command} check-config\n")
    python.chmod(0o755)
    assert project.rebuild("--dry-run").returncode == 0
    project.write("kafka.env", "KAFKA_SECURITY_PROTOCOL=PLAIN\n")
    done = project.rebuild()
    assert done.returncode == 1
    assert "KAFKA_SECURITY_PROTOCOL" in done.stderr
    assert "cannot be used" in done.stderr
    assert project.asked() == []


def test_engine_without_a_token_is_refused(project: Project) -> None:
    done = project.rebuild("--engine")
    assert done.returncode == 1
    assert "TRELLIS_SECURITY__AUTH_TOKEN" in done.stderr
    assert project.asked() == []


def test_what_does_not_become_healthy_is_shown_and_fails(project: Project) -> None:
    done = project.rebuild(failing="up")
    assert done.returncode == 1
    assert project.asked()[-1] == "compose --profile engine ps --all"
    assert "not everything is healthy" in done.stderr


def test_missing_docker_engine_is_told_before_anything(project: Project) -> None:
    done = project.rebuild(failing="info")
    assert done.returncode == 1
    assert "no Docker engine answers" in done.stderr
    assert project.asked() == []


def test_unknown_option_is_refused(project: Project) -> None:
    assert project.rebuild("--whipe").returncode == 2
    assert project.asked() == []
