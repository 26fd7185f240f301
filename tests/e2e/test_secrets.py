"""A marker planted as every secret is in nothing that the program emits."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.engine_process import ROOT, EngineProcess

MARKER = "s3cr3t-Marker-9f27"

ENV_FILES = {
    "azure.env": f"AZURE_STORAGE_CONNECTION_STRING=AccountName=a;AccountKey={MARKER};x=y\n",
    "redis.env": f"REDIS_URL=redis://user:{MARKER}@127.0.0.1:9/0\n",
    "kafka.env": (
        "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9\n"
        "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT\n"
        "KAFKA_SASL_USERNAME=user\n"
        f"KAFKA_SASL_PASSWORD={MARKER}\n"
    ),
    "duckdb.env": f"# password {MARKER}\n",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    for file in (ROOT / "configs").glob("*.yaml"):
        (folder / file.name).write_bytes(file.read_bytes())
    for name, text in ENV_FILES.items():
        (folder / name).write_text(text)
    return folder


def test_a_running_engine_emits_no_secret(tmp_path: Path, config: Path) -> None:
    settings = ("log.level=DEBUG",)
    environment = {"TRELLIS_SECURITY__AUTH_TOKEN": MARKER}
    with EngineProcess(
        tmp_path / "data", config_dir=config, settings=settings, environment=environment
    ) as engine:
        emitted = [repr(engine.ready)]
        for page in ("metrics", "readyz", "healthz", "", "api", "nowhere"):
            url = f"http://{engine.address('metrics')}/{page}"
            try:
                with urllib.request.urlopen(url, timeout=5) as reply:
                    emitted.append(reply.read().decode())
            except urllib.error.HTTPError as error:
                emitted.append(error.read().decode())
        assert engine.stop() == 0
    emitted.append(engine.log_path.read_text())
    emitted += [
        file.read_bytes().decode("utf-8", "replace")
        for file in (tmp_path / "data").rglob("*")
        if file.is_file()
    ]
    assert all(MARKER not in text for text in emitted)


@pytest.mark.parametrize(
    "arguments",
    [
        ("check-config",),
        ("check-config", "--json"),
        ("--set", "kafka.partitions=none", "check-config"),
        ("--set", f"redis.url=nonsense://{MARKER}", "check-config"),
        ("--set", f"security.auth_token={MARKER}", "--set", "kafka.topc=x", "check-config"),
        ("status",),
    ],
)
def test_the_command_line_emits_no_secret(
    tmp_path: Path, config: Path, arguments: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "main.py",
            "--config",
            str(config),
            "--data",
            str(tmp_path / "data"),
            *arguments,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert MARKER not in done.stdout + done.stderr


def test_a_child_process_is_given_no_secret(tmp_path: Path) -> None:
    """The embedded servers' environment is readable by whoever may read theirs."""
    environment = {"TRELLIS_SECURITY__AUTH_TOKEN": MARKER}
    with EngineProcess(tmp_path / "data", environment=environment) as engine:
        for children in Path(f"/proc/{engine.pid}/task").glob("*/children"):
            for pid in children.read_text().split():
                assert MARKER.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
                assert MARKER.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        engine.stop()
