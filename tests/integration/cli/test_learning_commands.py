"""The commands of the learning loop as their users run them, against a real engine.

The engine has learnt from events of the last quarter of an hour; its workers really train.
"""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.engine_process import ROOT, EngineProcess
from tests.support.serving_engine import wait_until

USERS = 40
MINUTES = 15
FEATURES = """
entities:
  user: {key: user_id, type: int64}
features:
  views: {from: events, where: {action: view}, aggregate: count, window: 2m}
  carts: {from: events, where: {action: cart}, aggregate: count, window: 2m}
  last_action: {from: events, aggregate: last, column: action}
"""
MODELS = """
models:
  buys:
    entity: user
    description: Whether a visitor buys within 30 seconds.
    features: [views, carts, last_action]
    label: {where: {action: purchase}, within: 30s}
    observations: {every: 30s, last: 1h, active: 5m}
    split: {least_rows: 200}
    drift: {window: 10m, least_rows: 100}
    policy: {metric: log_loss, on_drift: false}
  listed:
    entity: user
    features: [views]
"""


@attrs.frozen
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@attrs.frozen
class Desk:
    """A person's terminal beside a running engine."""

    engine: EngineProcess
    configs: Path

    def run(self, *arguments: str) -> Outcome:
        """Run one command to its end; whatever happens, nobody is shown a traceback."""
        done = subprocess.run(
            [
                *(sys.executable, "main.py", "--config", str(self.configs)),
                *("--data", str(self.engine.data_dir), *arguments),
            ],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=120,
            check=False,
            env={**os.environ, "TRELLIS_DEBUG": ""},
        )
        assert "Traceback" not in done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> Outcome:
        done = self.run(*arguments)
        assert done.code == 0, done.err
        return done


def write_events(file: Path) -> None:
    """Write a quarter of an hour of shop, in which carts tell who buys."""
    rng = random.Random(7)
    start_s = time.time() - MINUTES * 60 - 5
    rows = ["user_id,action,timestamp,value"]
    for tick in range(MINUTES * 6):
        for user in range(1, USERS + 1):
            at_s = start_s + tick * 10 + rng.random() * 9
            wants = (tick // 12 + user) % 3 == 0
            action = "cart" if wants and rng.random() < 0.6 else "view"
            rows.append(f"{user},{action},{at_s:.3f},")
            if rng.random() < (0.3 if wants else 0.02):
                rows.append(f"{user},purchase,{at_s + 0.5:.3f},9.5")
    file.write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("learning")
    configs = folder / "configs"
    configs.mkdir()
    (configs / "app.yaml").write_text("workers: {max_python_workers: 2, pools: {serve: 1}}\n")
    (configs / "features.yaml").write_text(FEATURES)
    (configs / "models.yaml").write_text(MODELS)
    write_events(folder / "events.csv")
    with EngineProcess(folder / "data", config_dir=configs) as engine:
        desk = Desk(engine, configs)
        desk.ok("generate", "--replay", str(folder / "events.csv"))
        wait_until(lambda: champion(desk) is not None, 60)
        yield desk
        assert engine.stop() == 0
    assert "Traceback" not in engine.log_path.read_text()


def champion(desk: Desk) -> int | None:
    found = {one["model"]: one for one in desk.ok("models", "--json").json}
    number: int | None = found["buys"]["aliases"].get("champion")
    return number


def test_models_are_listed_and_shown_with_what_training_has_measured(desk: Desk) -> None:
    listed = desk.ok("models").out.splitlines()
    shown = desk.ok("models", "show", "buys").out
    version = desk.ok("models", "show", "buys", "--json").json
    untrained = desk.ok("models", "show", "listed", "--json").json

    assert re.split(r"  +", listed[0])[:4] == ["model", "champion", "challenger", "latest"]
    assert [line.split()[0] for line in listed[1:]] == ["buys", "listed"]
    assert re.search(r"^log_loss +0\.\d+ +0\.\d+ to 0\.\d+", shown, re.MULTILINE)
    assert re.search(r"^carts +-?\d\.\d+", shown, re.MULTILINE)
    assert version["aliases"]["champion"] == version["version"]
    assert len(version["trained"]["sha256"]) == 64
    assert version["trained"]["lineage"]["libraries"]
    assert (untrained["version"], untrained["trained"]) == (1, None)


def test_a_prediction_is_explained_value_by_value(desk: Desk) -> None:
    made = desk.ok("predict", "7", "--model", "buys", "--json").json
    explained = desk.ok("explain", made["prediction_id"], "--json").json
    told = desk.ok("explain", made["prediction_id"], "--events", "1").out

    assert made["probabilities"].keys() == {"false", "true"}
    assert sum(made["probabilities"].values()) == pytest.approx(1)
    assert explained["reproduced"] is True
    assert [(one["name"], one["given"]) for one in explained["features"]] == [
        (one["name"], one["value"]) for one in made["features"]
    ]
    assert all(one["equal"] for one in explained["features"])
    assert explained["events"][0]["action"] in ("view", "cart", "purchase")
    assert re.search(r"^carts +\d+ +\d+ +yes", told, re.MULTILINE)
    assert "reproduced: every value is the same" in told


def test_features_are_set_for_one_prediction_in_their_own_types(desk: Desk) -> None:
    given = ("--set-feature", "carts=9", "--set-feature", "last_action=null")
    made = desk.ok("predict", "-7", "--model", "buys", *given, "--json").json
    table = desk.ok("predict", "-7", "--model", "buys", *given).out
    explained = desk.ok("explain", made["prediction_id"]).out

    values = {one["name"]: (one["value"], one["overridden"]) for one in made["features"]}
    assert values == {"views": (None, False), "carts": (9, True), "last_action": (None, True)}
    assert re.search(r"^carts +9 +overridden$", table, re.MULTILINE)
    assert re.search(r"^carts +9 +null +overridden", explained, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["predict", "7"], 2, "Missing option '--model'"),
        (["predict", "7", "--model", "buy"], 1, "close to it: buys"),
        (["predict", "7", "--model", "listed"], 1, "never trained"),
        (["predict", "7", "--model", "buys", "--version", "1"], 1, "list of features"),
        (["predict", "7", "--model", "buys", "--set-feature", "carts"], 2, "NAME=VALUE"),
        (["predict", "7", "--model", "buys", "--set-feature", "carts=x"], 2, "of type int64"),
        (["predict", "7", "--model", "buys", "--set-feature", "cart=1"], 1, "cart"),
        (["explain", "nothing"], 1, "no prediction"),
        (["train", "listed"], 1, "has no label"),
        (["drift", "--check"], 2, "wants the name of a MODEL"),
        (["drift", "listed", "--check"], 1, "has no label"),
        (["models", "buys"], 2, "is not one of"),
        (["models", "list", "buys"], 2, "did you mean: models show buys"),
        (["models", "rollback"], 2, "wants the name of a MODEL"),
        (["models", "promote", "listed"], 1, "no challenger"),
        (["models", "promote", "listed", "--version", "1"], 1, "train it first"),
        (["models", "show", "buys", "--version", "99"], 1, "close to it: buys/"),
    ],
)
def test_what_cannot_be_done_is_told_with_what_to_do(
    desk: Desk, arguments: list[str], code: int, told: str
) -> None:
    done = desk.run(*arguments)
    assert (done.code, done.out) == (code, "")
    assert told in done.err


def test_a_training_is_watched_and_its_version_shown_beside_the_champion(desk: Desk) -> None:
    before = champion(desk)
    done = desk.ok("train", "buys", "--wait")
    latest = desk.ok("models", "show", "buys", "--json").json["latest_version"]

    assert re.match(r"job [0-9A-Z]{26}\n", done.out)
    assert "succeeded  run 1" in done.out
    assert f"buys version {latest}, " in done.out
    assert re.search(r"^metric +value +95 % interval +champion then$", done.out, re.MULTILINE)

    told = desk.ok("train", "buys", "--wait", "--json").json
    assert (told["state"], told["model"]["version"]) == ("succeeded", latest + 1)
    assert told["model"]["trained"]["cause"] == "call"
    assert told["model"]["trained"]["champion_metrics"]
    assert before is not None


def test_a_version_is_promoted_and_rolled_back_by_name_or_by_what_was_before(desk: Desk) -> None:
    first = champion(desk)
    assert first is not None
    trained = desk.ok("train", "buys", "--wait", "--json").json["model"]["version"]

    desk.ok("models", "promote", "buys", "--version", str(trained))
    again = desk.ok("models", "promote", "buys", "--version", str(trained))
    assert "is the champion already" in again.out
    back = desk.ok("models", "rollback", "buys", "--json").json

    assert back == {"model": "buys", "champion": first, "previous_version": trained}
    assert champion(desk) == first
    assert desk.ok("predict", "7", "--model", "buys", "--json").json["model_version"] == first
    other = desk.ok("predict", "7", "--model", "buys", "--version", str(trained), "--json").json
    assert other["model_version"] == trained


def test_a_look_for_drift_is_waited_for_and_listed(desk: Desk) -> None:
    report = desk.ok("drift", "buys", "--check", "--json").json
    table = desk.ok("drift", "buys").out
    listed = desk.ok("drift", "--json", "--limit", "5").json

    assert report["verdict"] in ("stable", "drifted")
    assert {one["feature"] for one in report["features"]} >= {"views", "carts", "last_action"}
    assert report["cause"] == "call"
    assert report["report_id"] in table
    assert re.search(r"^feature +drifted +psi +ks", table, re.MULTILINE)
    assert listed[0]["report_id"] == report["report_id"]
    assert listed[0]["features"] == report["features"]


def test_quality_stands_beside_what_training_has_measured(desk: Desk) -> None:
    desk.ok("predict", "8", "--model", "buys")
    facts = desk.ok("models", "quality", "buys", "--json").json
    told = desk.ok("models", "quality", "buys").out

    assert facts["predictions"] >= 1
    assert facts["trained_metrics"]["log_loss"]["value"] > 0
    assert re.search(r"^metric +value +95 % interval +in training$", told, re.MULTILINE)
