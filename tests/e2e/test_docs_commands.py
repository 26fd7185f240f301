"""Every command that the documents show is run, as printed, against a real engine."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import yaml

from tests.support.documents import Document, documents
from tests.support.engine_process import ROOT, EngineProcess

QUICK_START = "docs/quickstart.md"
"""tests/e2e/test_quickstart.py runs its commands, one after the other."""

OWNERS_STATUS = (
    "sudo -u trellis /opt/trellis/.venv/bin/python /opt/trellis/main.py "
    "--data /var/lib/trellis status"
)
RUN_ELSEWHERE = {
    "bash ops/run.sh --demo": "started by this module's engine fixture",
    "bash ops/test.sh": "the command that runs these tests",
    "docker compose up --wait redis kafka": (
        "needs a container engine; tests/unit/test_containers.py reads compose.yml"
    ),
    "bash ops/rebuild.sh": "needs one, too; tests/integration/ops has it ask a stand-in",
    ".venv/bin/python main.py backup /var/backups/trellis/monday": (
        "tests/e2e/test_backup.py does, into a folder that is there"
    ),
    ".venv/bin/python main.py restore /var/backups/trellis/monday data-of-monday": (
        "tests/e2e/test_backup.py does"
    ),
    "python main.py compact": "needs a stopped engine; tests/e2e/test_retention.py has one",
    "REDIS_URL=redis://127.0.0.1:6379/0 KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 bash ops/run.sh": (
        "needs the containers; external servers are tested in tests/integration"
    ),
    "cat data/console-token": "tests/e2e/test_console.py acts with what is in that file",
    ".venv/bin/python -m pip install --require-hashes -r requirements-traces.lock": (
        "tests/unit/test_requirements.py looks at the lock; its packages are those of the tests"
    ),
    "docker run --rm -p 127.0.0.1:4318:4318 -p 127.0.0.1:16686:16686 jaegertracing/jaeger:latest": (
        "there is no Docker here; tests/support/otlp_receiver.py is the collector of the tests"
    ),
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 bash ops/run.sh": (
        "tests/e2e/test_traces.py runs the engine with that variable"
    ),
    "TRELLIS_SECURITY__CONTROL_TOKEN=… python main.py worker --engine trellis.internal:50050 "
    "--pool train --tls-ca ca.pem": "tests/e2e/test_remote_workers.py has a machine of its own",
    **dict.fromkeys(
        (
            "python main.py --config configs/examples/cdnow",
            "python main.py --config configs/examples/cdnow generate --replay cdnow_events.csv",
            "python main.py --config configs/examples/cdnow models show buys_again",
        ),
        "tests/e2e/test_cdnow.py does, with the customers' file",
    ),
    **dict.fromkeys(
        (
            "sudo useradd --system --home-dir /var/lib/trellis --shell /usr/sbin/nologin trellis",
            "sudo cp -r /opt/trellis/configs /etc/trellis",
            "sudo install -m 0600 /dev/null /etc/trellis/secrets.env",
            "sudo cp /opt/trellis/ops/trellis.service /etc/systemd/system/",
            "sudo systemctl daemon-reload",
            "sudo systemctl enable --now trellis",
            OWNERS_STATUS,
        ),
        "needs systemd; tests/unit/test_service_unit.py has it read the unit",
    ),
    ".venv/bin/python -m tests.faults --seed 1 --rounds 3": "tests/faults runs the same harness",
    ".venv/bin/python -m tests.faults --seed 1 --minutes 30": "tests/faults runs rounds of it",
}
"""Commands that are not run here, each with what covers it instead."""


LEARNER = "buys_soon"
"""The model of the demo that is trained by itself."""


def commands() -> list[str]:
    """Return each command of the documents once, without the quick start's and benchmarks."""
    found = [
        command
        for document in documents()
        if document.name != QUICK_START
        for command in document.commands()
        if "-m benchmarks" not in command
    ]
    return list(dict.fromkeys(found))


def commands_to_run() -> list[str]:
    here = [command for command in commands() if command not in RUN_ELSEWHERE]
    # It learns while the others run.
    return sorted(here, key=lambda command: LEARNER in command)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("docs")
    config_dir = shutil.copytree(ROOT / "configs", folder / "configs")
    settings = yaml.safe_load((config_dir / "app.yaml").read_text())
    for block in Document(ROOT / "docs/jobs.md").blocks("yaml"):
        for section, values in yaml.safe_load(block).items():
            settings[section].update(values)
    (config_dir / "app.yaml").write_text(yaml.safe_dump(settings))
    models = yaml.safe_load((config_dir / "models.yaml").read_text())
    models["models"][LEARNER]["split"]["least_rows"] = 100  # there are so many within a minute
    (config_dir / "models.yaml").write_text(yaml.safe_dump(models, sort_keys=False))
    with EngineProcess(
        folder / "data", config_dir=config_dir, arguments=["run", "--demo"]
    ) as engine:
        yield engine
        assert engine.stop() == 0


@pytest.mark.parametrize("command", commands_to_run())
def test_documented_command_succeeds(demo: EngineProcess, command: str) -> None:
    words = shlex.split(command)
    assert words[:2] == [".venv/bin/python", "main.py"], f"unknown kind of command: {command}"
    if LEARNER in words:
        wait_for_champion(demo)
    done = run(demo, *words[2:])
    assert done.returncode == 0, done.stderr
    # For machines no row is no line.
    assert done.stdout.strip() or "--json" in words


def run(demo: EngineProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "TRELLIS_PATHS__DATA": str(demo.data_dir),
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, "main.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_for_champion(demo: EngineProcess) -> None:
    """Wait until the demo's model has learnt from the traffic of its first minutes."""
    give_up_s = time.monotonic() + 180
    while True:
        models = json.loads(run(demo, "models", "--json").stdout)
        if any(one["model"] == LEARNER and "champion" in one["aliases"] for one in models):
            return
        assert time.monotonic() < give_up_s, demo.log_tail()
        time.sleep(1)  # between two looks


def test_the_shown_part_of_the_example_is_that_of_its_file() -> None:
    [shown] = Document(ROOT / "docs/jobs.md").blocks("python")
    lines = [line for line in shown.splitlines() if line.strip() != "..."]
    assert len(lines) > 3
    rest = iter((ROOT / "docs/examples/purchase_totals.py").read_text().splitlines())
    assert all(line in rest for line in lines)


def test_commands_that_are_not_run_are_still_documented() -> None:
    assert set(RUN_ELSEWHERE) <= set(commands())
