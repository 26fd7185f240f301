"""compose.yml, Dockerfile and .dockerignore: what is promised of them, read from the files.

No container engine runs where the tests do, so nothing here starts a container.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KEYS = {
    "build", "cap_drop", "command", "cpus", "depends_on", "env_file", "environment", "extra_hosts",
    "healthcheck", "image", "init", "logging", "mem_limit", "pids_limit", "ports", "profiles",
    "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
"""Of a service, as the compose specification spells them."""
HEALTHCHECK_KEYS = {"test", "interval", "timeout", "retries", "start_period"}

each_service = pytest.mark.parametrize("name", SERVICES)


def instructions(name: str) -> list[str]:
    """Return the arguments of one instruction of the Dockerfile's last stage."""
    stage = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[-1]
    return re.findall(rf"^{name} (.*(?:(?<=\\)\n.*)*)", stage, re.MULTILINE)


def test_every_server_and_the_engine_are_services() -> None:
    servers = {"redis", "kafka", "azurite", "prometheus", "grafana"}
    assert SERVICES.keys() == {*servers, "engine"}
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["engine"]


@each_service
def test_service_has_only_keys_of_the_specification(name: str) -> None:
    assert SERVICES[name].keys() <= KEYS
    assert SERVICES[name]["healthcheck"].keys() <= HEALTHCHECK_KEYS
    assert SERVICES[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@each_service
def test_service_is_pinned_limited_and_restarted(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+\.\d+(-\w+)?", tag), "an exact version"
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["restart"] == "unless-stopped"
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["logging"]["options"]["max-size"]


@each_service
def test_ports_are_bound_to_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@each_service
def test_volumes_are_declared_and_mounted_files_are_there_and_read_only(name: str) -> None:
    mounts = SERVICES[name]["volumes"]
    sources = [mount.split(":")[0] for mount in mounts]
    assert set(COMPOSE["volumes"]) & set(sources) == {name}
    for mount in mounts:
        if mount.startswith("."):
            assert (ROOT / mount.split(":")[0]).exists()
            assert mount.endswith(":ro")


@each_service
def test_no_secret_stands_in_the_file(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        assert not re.search(r"PASSWORD|TOKEN|SECRET|KEY|CONNECTION_STRING", key), key
        assert "@" not in value or key == "KAFKA_CONTROLLER_QUORUM_VOTERS"
    for file in SERVICES[name].get("env_file", []):
        # What is committed names the settings and sets none.
        lines = (ROOT / file).read_text().splitlines()
        assert all(line.startswith("#") or not line for line in lines)


@each_service
def test_dependencies_are_waited_for(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        assert condition == {"condition": "service_healthy"}


@each_service
def test_no_service_keeps_capabilities_but_redis_which_gives_them_up_itself(name: str) -> None:
    assert (SERVICES[name].get("cap_drop") == ["ALL"]) is (name != "redis")


def test_emulated_blob_store_takes_the_engines_client_and_tells_nobody() -> None:
    # That of the same version refuses the locked client's requests without the first.
    wanted = {"--skipApiVersionCheck", "--disableProductStyleUrl", "--disableTelemetry"}
    assert wanted <= set(SERVICES["azurite"]["command"])
    package = json.loads((ROOT / "tests/azurite/package.json").read_text())
    assert SERVICES["azurite"]["image"].endswith(f":{package['dependencies']['azurite']}")


def test_prometheus_reaches_an_engine_on_the_host() -> None:
    assert SERVICES["prometheus"]["extra_hosts"] == ["host.docker.internal:host-gateway"]
    [group] = yaml.safe_load((ROOT / "ops/prometheus/targets/engine.yml").read_text())
    assert group["targets"] == ["host.docker.internal:9464"]


def test_engine_runs_on_a_read_only_root_and_writes_to_its_volume_alone() -> None:
    engine = SERVICES["engine"]
    assert engine["read_only"] is True
    assert engine["cap_drop"] == ["ALL"]
    assert [m for m in engine["volumes"] if not m.endswith(":ro")] == ["engine:/data"]
    assert [one.split(":")[0] for one in engine["tmpfs"]] == ["/tmp"]
    assert instructions("VOLUME") == ['["/data"]']
    assert "TRELLIS_PATHS__DATA=/data" in instructions("ENV")[0]


def test_workers_port_is_not_published() -> None:
    published = [port.rpartition(":")[2] for port in SERVICES["engine"]["ports"]]
    ports = yaml.safe_load((ROOT / "configs/app.yaml").read_text())["server_ports"]
    assert {str(ports[key]) for key in ports if key != "control"} == set(published)
    assert instructions("EXPOSE") == [" ".join(published)]


def test_image_runs_as_nobody_and_says_how_it_is() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert "/readyz" in instructions("HEALTHCHECK")[0]
    assert instructions("ENTRYPOINT") == ['["python", "main.py"]']


def test_image_installs_wheels_of_the_lock_by_their_hashes() -> None:
    assert "--require-hashes --requirement requirements.lock" in DOCKERFILE
    assert "--only-binary :all:" in DOCKERFILE
    for base in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)


def test_what_the_image_takes_in_is_named_one_by_one_and_no_secret_is() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    taken = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    assert taken == set(copied)
    assert all((ROOT / path).exists() for path in taken)
    assert {"configs/*.env", "configs/containers"} <= set(rules)


def test_compose_itself_reads_the_file_where_it_is_installed() -> None:
    docker = shutil.which("docker")
    if (
        docker is None
        or subprocess.run(
            [docker, "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("docker has no compose plugin here")
    subprocess.run(
        [docker, "compose", "--profile", "engine", "config", "--quiet"], cwd=ROOT, check=True
    )
