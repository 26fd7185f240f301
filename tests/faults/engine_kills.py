"""`kill -9` of the engine under load, again and again, and what must hold after each."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from proto.trellis.v1 import features_pb2
from tests.faults.audit import Findings, audit
from tests.faults.feature_answers import (
    FeatureAnswers,
    wait_until_consumed,
    wait_until_consuming,
)
from tests.faults.recompute import find_disagreements, load_aggregates
from tests.support.broker_process import BrokerProcess
from tests.support.engine_process import EngineProcess
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

    def add_mismatches(self, found: list[str]) -> None:
        self.mismatches += len(found)
        self.details += found[:10]


def kill_and_restart(
    folder: Path, *, rounds: int, seed: int, report: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Kill the engine at random moments under load and audit the data file after each kill.

    The broker lives outside the engine and keeps its log, so every message it acknowledged must be
    in the file once at the end, and after each kill rows and offsets must agree. What the engine
    answered from memory is worked out again from the file, by other code, and asked for again from
    the next engine, which answers from history.
    """
    rng = random.Random(seed)
    aggregates = load_aggregates()
    features = [*aggregates, "click_rate"]
    outcome = Outcome()
    data_dir = folder / "data"
    data_file = data_dir / "trellis.duckdb"
    answers: list[features_pb2.GetFeaturesResponse] = []
    with (
        BrokerProcess() as broker,
        EventSource(broker.bootstrap_servers, TOPIC, seed=seed, users=USERS) as source,
    ):
        settings = (f"kafka.bootstrap_servers={broker.bootstrap_servers}", "kafka.group_id=null")

        def ask(engine: EngineProcess, users: Sequence[int]) -> None:
            """Ask for the last answers again, then for new ones."""
            nonlocal answers
            with FeatureAnswers(engine) as client:
                outcome.add_mismatches(client.changed(answers))
                answers = [client.online(user, features) for user in users]

        for number in range(rounds):
            with EngineProcess(data_dir, settings=settings) as engine:
                outcome.seconds_to_ready.append(engine.seconds_to_ready)
                if rng.random() < _UNDER_LOAD_SHARE:
                    wait_until_consuming(engine)
                # The moment of the kill, not a wait for anything.
                time.sleep(rng.uniform(0.0, 1.0))
                ask(engine, rng.sample(range(USERS), 5))
                engine.kill()
            findings = audit(data_file, TOPIC, source.sent(), all_consumed=False)
            outcome.add(findings)
            outcome.add_mismatches(find_disagreements(data_file, aggregates, answers))
            outcome.rounds += 1
            report(f"round {number + 1}: {findings.events} events, {outcome.mismatches} mismatches")
        source.stop()
        left = len(source.sent()) - findings.events - findings.dead_letters
        with EngineProcess(data_dir, settings=settings) as engine:
            wait_until_consumed(engine, left)
            ask(engine, range(USERS))
            engine.stop()
        sent = source.sent()
        outcome.sent = len(sent)
        outcome.add(audit(data_file, TOPIC, sent, all_consumed=True))
        outcome.add_mismatches(find_disagreements(data_file, aggregates, answers))
    return outcome
