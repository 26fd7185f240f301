"""The rules of Prometheus, judged by promtool, and the runbook that they point to."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.engine_process import ROOT
from tests.support.prometheus_tools import run_promtool

FOLDER = ROOT / "ops/prometheus"
RUNBOOK = ROOT / "docs/runbook.md"


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "rules/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def sections() -> dict[str, str]:
    """Return the runbook's sections, by the anchor that a heading gets."""
    text = RUNBOOK.read_text()
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    titles, bodies = parts[::2], parts[1::2]
    return {
        title.lower().replace(" ", "-"): body for title, body in zip(titles, bodies, strict=True)
    }


def test_configuration_and_its_rules_are_valid() -> None:
    run_promtool("check", "config", "--lint-fatal", FOLDER / "prometheus.yml")


@pytest.mark.parametrize("file", sorted((FOLDER / "tests").glob("*.yml")), ids=lambda p: p.stem)
def test_alerts_fire_and_keep_quiet_as_their_tests_say(file: Path) -> None:
    run_promtool("test", "rules", file)


def test_every_alert_is_seen_to_fire_and_to_keep_quiet() -> None:
    firing: set[str] = set()
    quiet: set[str] = set()
    for file in (FOLDER / "tests").glob("*.yml"):
        for case in yaml.safe_load(file.read_text())["tests"]:
            for check in case["alert_rule_test"]:
                (firing if check["exp_alerts"] else quiet).add(check["alertname"])
    assert {rule["alert"] for rule in alert_rules()} == firing == quiet


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: str(rule["alert"]))
def test_alert_leads_to_a_section_of_the_runbook_that_says_what_to_do(
    rule: dict[str, Any],
) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert {"summary", "description"} <= rule["annotations"].keys()
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / document == RUNBOOK
    section = sections()[anchor]
    assert f"**{rule['alert']}**" in section
    assert "- Look: " in section
    assert "- Do: " in section


def test_every_section_of_the_runbook_has_an_alert() -> None:
    linked = {rule["annotations"]["runbook"].partition("#")[2] for rule in alert_rules()}
    assert sections().keys() == linked
