"""Every command that the documents show is run, as printed, against a real engine."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.engine_process import ROOT, EngineProcess

DOCUMENTS = ("README.md", "docs/operations.md", "docs/features.md", "benchmarks/README.md")

RUN_ELSEWHERE = {
    "bash ops/run.sh --demo": "started by this module's engine fixture",
    "bash ops/test.sh": "the command that runs these tests",
    "docker compose up --wait": "needs a container engine; compose.yml is checked by its schema",
    "REDIS_URL=redis://127.0.0.1:6379/0 KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 bash ops/run.sh": (
        "needs the containers; external servers are tested in tests/integration"
    ),
    ".venv/bin/python -m tests.faults --seed 1 --rounds 3": "tests/faults runs the same harness",
}
"""Commands that are not run here, each with what covers it instead."""


def commands_of(document: str) -> list[str]:
    """Return the commands of a document: lines that start with `$ ` in console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def commands_to_run() -> list[str]:
    found = [command for document in DOCUMENTS for command in commands_of(document)]
    return [
        command
        for command in dict.fromkeys(found)
        if command not in RUN_ELSEWHERE and "-m benchmarks" not in command
    ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("docs")
    with EngineProcess(folder / "data", arguments=["run", "--demo"]) as engine:
        yield engine
        assert engine.stop() == 0


@pytest.mark.parametrize("command", commands_to_run())
def test_documented_command_succeeds(demo: EngineProcess, command: str) -> None:
    words = shlex.split(command)
    assert words[:2] == [".venv/bin/python", "main.py"], f"unknown kind of command: {command}"
    environment = {
        **os.environ,
        "TRELLIS_PATHS__DATA": str(demo.data_dir),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [sys.executable, "main.py", *words[2:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_commands_that_are_not_run_are_still_documented() -> None:
    found = {command for document in DOCUMENTS for command in commands_of(document)}
    assert set(RUN_ELSEWHERE) <= found


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in (*DOCUMENTS, "docs/architecture.md", "docs/api.md", "docs/configuration.md"):
        text = (ROOT / document).read_text()
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
            assert ((ROOT / document).parent / target).exists(), f"{document} links to {target}"
