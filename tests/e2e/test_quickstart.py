"""The quick start, word for word: its commands in their order, in a checkout of their own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.engine_process import ROOT

PAGE = ROOT / "docs/quickstart.md"
START = "bash ops/run.sh --config gym"
CHECKOUT = ("engine", "proto", "docs", "ops", "configs", "main.py", "requirements.lock")
JOBS = ".venv/bin/python main.py --config gym jobs list"
FREE_PORTS = {
    f"TRELLIS_SERVER_PORTS__{name}": "0"
    for name in ("SERVICE_A", "SERVICE_B", "SERVICE_D", "CONTROL", "METRICS")
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("console")).splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project whose `.venv` is this interpreter, with the lock file installed."""
    for name in CHECKOUT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("python", "pip"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / name).chmod(0o755)
    shutil.copy(ROOT / "requirements.lock", tmp_path / ".venv/installed-requirements.lock")
    return tmp_path


@pytest.fixture
def engine(checkout: Path) -> "Iterator[Callable[[], None]]":
    """Starts the engine by the page's command; it is stopped in order at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with (checkout / "out").open("wb") as out, (checkout / "log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    START.split(),
                    cwd=checkout,
                    env={**os.environ, **FREE_PORTS},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    start_new_session=True,
                )
            )
        wait_for(
            lambda: (checkout / "out").read_bytes().startswith(b"ready "),
            lambda: (checkout / "log").read_text()[-2000:],
        )

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def wait_for(
    condition: Callable[[], object], told: Callable[[], str], within_s: float = 60.0
) -> None:
    give_up_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_s, told()
        time.sleep(0.2)  # between two looks


def run(checkout: Path, command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", command],
        cwd=checkout,
        env={**os.environ, **FREE_PORTS, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def has_champion(checkout: Path) -> bool:
    shown = run(checkout, ".venv/bin/python main.py --config gym models --json").stdout
    return any("champion" in model["aliases"] for model in json.loads(shown))


def visits_of_member_7(output: str) -> int:
    [visits] = re.findall(r"^visits_7d +(\d+) ", output, re.MULTILINE)
    return int(visits)


def test_quick_start_does_what_it_says(checkout: Path, engine: Callable[[], None]) -> None:
    outputs: dict[str, list[str]] = {}
    for command in commands():
        if command == START:
            engine()
            continue
        if "models show" in command:
            wait_for(lambda: has_champion(checkout), lambda: (checkout / "log").read_text()[-2000:])
        if (earlier := outputs.get(command)) and "--feature visits_7d" in command:
            counted = visits_of_member_7(earlier[0])
            # The producer was acknowledged by the broker; the commit follows.
            wait_for(
                lambda said=command, before=counted: (
                    visits_of_member_7(run(checkout, said).stdout) == before + 1
                ),
                lambda: (checkout / "log").read_text()[-2000:],
            )
        done = run(checkout, command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        outputs.setdefault(command, []).append(done.stdout)
    before, after = outputs[".venv/bin/python main.py --config gym drift comes_back --check"]
    assert ": stable, " in before
    assert ": drifted, " in after
    wait_for(
        lambda: run(checkout, JOBS).stdout.count(" train ") == 2,
        lambda: "drift has started no training",
    )


def test_files_shown_are_those_of_the_example() -> None:
    shown = [yaml.safe_load(text) for text in blocks("yaml")]
    files = ("features.yaml", "models.yaml")
    assert shown == [yaml.safe_load((ROOT / "docs/examples/gym" / f).read_text()) for f in files]
