"""`kill -9` of the engine under load, again and again, and what must hold after each."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import yaml

from tests.faults.audit import Findings, audit
from tests.faults.feature_answers import (
    FeatureAnswers,
    wait_until_consumed,
    wait_until_consuming,
)
from tests.support.broker_process import BrokerProcess
from tests.support.engine_process import ROOT, EngineProcess
from tests.support.event_source import EventSource

TOPIC = "trellis.events"
USERS = 200
_UNDER_LOAD_SHARE = 0.8
"""Of the kills, how many come while events are being committed; the others may hit the start."""


@attrs.define
class Outcome:
    """Sums over all rounds of a run."""

    rounds: int = 0
    sent: int = 0
    lost: int = 0
    repeated: int = 0
    altered: int = 0
    offset_gaps: int = 0
    mismatches: int = 0
    details: list[str] = attrs.field(factory=list)
    seconds_to_ready: list[float] = attrs.field(factory=list)

    @property
    def clean(self) -> bool:
        return not (
            self.lost or self.repeated or self.altered or self.offset_gaps or self.mismatches
        )

    def add(self, findings: Findings) -> None:
        self.lost += findings.lost
        self.repeated += findings.repeated
        self.altered += findings.altered
        self.offset_gaps += findings.offset_gaps
        self.details += findings.details[:10]


def event_features() -> list[str]:
    """Return the shipped features that rest on events."""
    defined = yaml.safe_load((ROOT / "configs" / "features.yaml").read_text())["features"]
    return [
        name for name, spec in defined.items() if "expression" in spec or spec["from"] == "events"
    ]


def kill_and_restart(
    folder: Path, *, rounds: int, seed: int, report: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Kill the engine at random moments under load and audit the data file after each kill.

    The broker lives outside the engine and keeps its log, so every message it acknowledged must be
    in the file once at the end, and after each kill rows and offsets must agree.
    """
    rng = random.Random(seed)
    features = event_features()
    outcome = Outcome()
    data_dir = folder / "data"
    with (
        BrokerProcess() as broker,
        EventSource(broker.bootstrap_servers, TOPIC, seed=seed, users=USERS) as source,
    ):
        settings = (f"kafka.bootstrap_servers={broker.bootstrap_servers}", "kafka.group_id=null")
        for number in range(rounds):
            with EngineProcess(data_dir, settings=settings) as engine:
                outcome.seconds_to_ready.append(engine.seconds_to_ready)
                with FeatureAnswers(engine) as answers:
                    users = rng.sample(range(USERS), 5)
                    found = answers.mismatches(users, features)
                    outcome.mismatches += len(found)
                    outcome.details += found[:10]
                if rng.random() < _UNDER_LOAD_SHARE:
                    wait_until_consuming(engine)
                # The moment of the kill, not a wait for anything.
                time.sleep(rng.uniform(0.0, 1.0))
                engine.kill()
            findings = audit(data_dir / "trellis.duckdb", TOPIC, source.sent(), all_consumed=False)
            outcome.add(findings)
            outcome.rounds += 1
            report(f"round {number + 1}: {findings.events} events, {outcome.mismatches} mismatches")
        source.stop()
        with EngineProcess(data_dir, settings=settings) as engine:
            wait_until_consumed(engine)
            with FeatureAnswers(engine) as answers:
                found = answers.mismatches(range(USERS), features)
            outcome.mismatches += len(found)
            outcome.details += found[:10]
            engine.stop()
        sent = source.sent()
        outcome.sent = len(sent)
        outcome.add(audit(data_dir / "trellis.duckdb", TOPIC, sent, all_consumed=True))
    return outcome
