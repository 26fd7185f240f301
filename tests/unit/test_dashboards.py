"""The dashboards' structure; what they ask is tested against a running engine."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "ops/grafana"
NAMES = ("overview", "intake", "workers", "serving", "learning")
UNITS = {
    "none", "short", "s", "bytes", "Bps", "ops", "reqps", "percentunit",
}  # fmt: skip
COLUMNS = 24


def load(name: str) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads((GRAFANA / f"dashboards/{name}.json").read_text())
    return dashboard


def datasource_uid() -> str:
    path = GRAFANA / "provisioning/datasources/grafana_datasources.yaml"
    [source] = yaml.safe_load(path.read_text())["datasources"]
    return str(source["uid"])


def uids_in(part: Any) -> set[str]:
    """Return the uids of every datasource that is named anywhere."""
    found: set[str] = set()
    if isinstance(part, dict):
        if isinstance(part.get("datasource"), dict):
            found.add(part["datasource"]["uid"])
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            found |= uids_in(inner)
    return found


def test_there_is_a_dashboard_for_each_view() -> None:
    assert {path.stem for path in (GRAFANA / "dashboards").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_has_a_fixed_uid_and_names_the_provisioned_datasource(name: str) -> None:
    dashboard = load(name)
    assert dashboard["uid"] == f"trellis-{name}"
    assert "id" not in dashboard, "the number of one Grafana says nothing to another"
    assert dashboard["schemaVersion"] == 39
    assert uids_in(dashboard) == {datasource_uid()}


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_ids_titles_units_and_targets_of_their_own(name: str) -> None:
    panels = load(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], "what it means that nothing is shown"
        if any("histogram_quantile" in target["expr"] for target in panel["targets"]):
            # Of no observations it is NaN, which is drawn as nothing at all.
            assert "Empty while there is nothing to measure." in panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert references, panel["title"]
        assert len(set(references)) == len(references), panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_in_the_grid_side_by_side(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in load(name)["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"], f"{panel['title']} lies on {other}"


@pytest.mark.parametrize("name", NAMES)
def test_every_expression_can_be_narrowed_to_an_engine(name: str) -> None:
    for panel in load(name)["panels"]:
        for target in panel["targets"]:
            whole = target["expr"].startswith("count(ALERTS")
            assert whole or '{instance=~"$instance"' in target["expr"].replace(
                'job="trellis", ', ""
            ), panel["title"]


def test_provider_reads_the_folder_that_compose_mounts() -> None:
    path = GRAFANA / "provisioning/dashboards/grafana_dashboards.yaml"
    [provider] = yaml.safe_load(path.read_text())["providers"]
    services = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
    mounts = dict(one.split(":")[:2] for one in services["grafana"]["volumes"] if "/" in one[:2])
    assert mounts["./ops/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./ops/grafana/provisioning"] == "/etc/grafana/provisioning"
