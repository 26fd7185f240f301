"""A real Prometheus scrapes a running engine; dashboards and rules name what is really there."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import yaml

from tests.support.engine_process import ROOT, EngineProcess
from tests.support.prometheus_tools import find_prometheus, run_promtool

PROMETHEUS = ROOT / "ops/prometheus"
DASHBOARDS = sorted((ROOT / "ops/grafana/dashboards").glob("*.json"))
RATE_INTERVAL = "1m"
"""What Grafana puts in place of `$__rate_interval`, about."""


@attrs.frozen
class Prometheus:
    """The API of a running Prometheus."""

    client: httpx.Client

    def ask(self, path: str, **parameters: str) -> Any:
        answer = self.client.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, expression: str) -> float | None:
        result = self.ask("query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None


def wait_for(condition: Callable[[], object], what: str, within_s: float = 40.0) -> None:
    give_up_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.2)  # between two looks


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("monitored")
    with EngineProcess(folder / "data", arguments=["run", "--demo"]) as engine:
        yield engine
        assert engine.stop() == 0


@pytest.fixture(scope="module")
def prometheus(
    engine: EngineProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """The project's own configuration, but for the address of the engine and the pace."""
    folder = tmp_path_factory.mktemp("prometheus")
    config_dir = shutil.copytree(PROMETHEUS, folder / "config")
    config = yaml.safe_load((config_dir / "prometheus.yml").read_text())
    config["global"] |= {
        "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s",
    }  # fmt: skip
    (config_dir / "prometheus.yml").write_text(yaml.safe_dump(config))
    targets = [{"targets": [engine.address("metrics")]}]
    (config_dir / "targets/engine.yml").write_text(yaml.safe_dump(targets))
    address = f"127.0.0.1:{free_port()}"
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            find_prometheus("prometheus"),
            f"--config.file={config_dir / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=log,
        stderr=log,
    )
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False) as client:
            wait_for(lambda: is_ready(client), (folder / "log").read_text())
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def panels() -> list[tuple[Path, dict[str, Any]]]:
    return [(path, p) for path in DASHBOARDS for p in json.loads(path.read_text())["panels"]]


def expressions_of(path: Path) -> list[str]:
    dashboard = json.loads(path.read_text())
    shown = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    noted = [one["expr"] for one in dashboard["annotations"]["list"]]
    return [
        expression.replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*")
        for expression in (*shown, *noted)
    ]


def rules_of(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def series_shown_by(engine: EngineProcess) -> set[str]:
    """Return the names of series that the engine's page declares, with samples or without yet."""
    with httpx.Client(trust_env=False) as client:
        page = client.get(f"http://{engine.address('metrics')}/metrics").text
    found: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE):
        endings = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found.update(name + ending for ending in endings)
    return found


def test_engine_is_scraped_and_its_series_have_samples(prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.value('up{job="trellis"}') == 1, "the engine is not up")
    wait_for(lambda: (prometheus.value("trellis_intake_events_total") or 0) > 0, "no events")
    [target] = [
        one
        for one in prometheus.ask("targets")["activeTargets"]
        if one["labels"]["job"] == "trellis"
    ]
    assert (target["health"], target["lastError"]) == ("up", "")


def test_every_rule_is_loaded_and_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def unevaluated() -> list[str]:
        groups = prometheus.ask("rules")["groups"]
        return [r["name"] for g in groups for r in g["rules"] if r["health"] == "unknown"]

    wait_for(lambda: not unevaluated(), "rules are not evaluated")
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert {rule["name"] for rule in rules} == {
        *(rule["alert"] for rule in rules_of("alerts.yml")),
        *(rule["record"] for rule in rules_of("recording.yml")),
    }


def test_engine_that_is_well_fires_no_critical_alert(prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.value("instance:trellis_disk_free:ratio"), "nothing is recorded")
    firing = prometheus.ask("query", query='ALERTS{alertstate="firing",severity="critical"}')
    # The machine's own disk may be full; that is no fault of the rules.
    assert {one["metric"]["alertname"] for one in firing["result"]} <= {"TrellisDiskFull"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.stem)
def test_prometheus_answers_every_expression_of_a_dashboard(
    prometheus: Prometheus, path: Path
) -> None:
    for expression in expressions_of(path):
        prometheus.ask("query", query=expression)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.stem)
def test_promtool_reads_every_expression_of_a_dashboard(path: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"expression:{number}", "expr": expression}
        for number, expression in enumerate(expressions_of(path))
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}))
    run_promtool("check", "rules", file)


def test_every_series_that_rules_and_dashboards_name_is_there(engine: EngineProcess) -> None:
    recorded = {rule["record"] for rule in rules_of("recording.yml")}
    named: set[str] = set()
    rules = [*rules_of("alerts.yml"), *rules_of("recording.yml")]
    shown = [expression for path in DASHBOARDS for expression in expressions_of(path)]
    for expression in (*(rule["expr"] for rule in rules), *shown):
        bare = re.sub(r'"[^"]*"', "", expression)
        named.update(re.findall(r"\b\w+:\w+:\w+\b", bare))
        named.update(re.findall(r"(?<![\w:])(?:trellis|process)_\w+(?![\w:])", bare))
    assert {name for name in named if ":" in name} <= recorded
    assert {name for name in named if ":" not in name} - series_shown_by(engine) == set()
