"""The sums of a campaign, for people and for programs."""

import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from tests.faults.job_audit import Latency
from tests.faults.rounds import RoundOutcome


@attrs.frozen
class Violation:
    """An invariant that did not hold, with the round in or after which that was seen."""

    round_number: int
    text: str


@attrs.define
class Report:
    """Grows with every round."""

    seed: int
    world: str | None = None
    """The only kind of world that there was: the one with this facility."""
    rounds: int = 0
    events: int = 0
    by_jobs: Counter[str] = attrs.field(factory=Counter)
    from_outside: Counter[str] = attrs.field(factory=Counter)
    states: Counter[str] = attrs.field(factory=Counter)
    causes: Counter[str] = attrs.field(factory=Counter)
    latencies: list[Latency] = attrs.field(factory=list)
    undelivered: int = 0
    repeated: int = 0
    """Jobs that clients have retried."""
    parkings: int = 0
    """Times that a slot was parked."""
    violations: list[Violation] = attrs.field(factory=list)
    began_s: float = attrs.field(factory=time.monotonic)

    @property
    def fault_count(self) -> int:
        return self.by_jobs.total() + self.from_outside.total()

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.began_s) / 60

    def add_round(self, outcome: RoundOutcome) -> None:
        """Add a round's sums."""
        self.rounds += 1
        self.by_jobs += outcome.by_jobs
        self.from_outside.update(fault.name for fault in outcome.from_outside)
        self.states += outcome.findings.states
        self.causes += outcome.findings.causes
        self.latencies += outcome.findings.latencies
        self.undelivered += outcome.findings.undelivered
        self.repeated += sum(one.runs - 1 for one in outcome.ended.values())
        found = outcome.findings.violations
        self.violations += [Violation(outcome.number, text) for text in found]

    def replay_command(self, violation: Violation) -> str:
        """Return how to run the round of a violation again."""
        world = "" if self.world is None else f" --world {self.world}"
        round_ = violation.round_number
        return f"python -m tests.faults --seed {self.seed}{world} --round {round_}"

    def lines(self) -> list[str]:
        """Return the report as text."""
        return [
            self._headline(),
            "",
            *_table("fault of a job", self.by_jobs),
            *_table("fault from outside", self.from_outside),
            *_table("jobs by final state", self.states),
            *_table("attempts by cause", self.causes),
            f"{'fault to running again, s':<32}{'count':>7}{'median':>9}{'p99':>9}{'max':>9}",
            *(
                f"{name:<32}{len(values):>7}{statistics.median(values):>9.3f}"
                f"{_percentile(values, 0.99):>9.3f}{max(values):>9.3f}"
                for name, values in sorted(self._seconds_by_kind().items())
            ),
            "",
            f"{self.undelivered} attempts had no outcome because of another job of their worker",
            f"{self.repeated} jobs were retried by clients",
            f"{self.parkings} times a slot was parked",
            f"{len(self.violations)} violations",
            *(
                f"  round {violation.round_number}: {violation.text}\n"
                f"    {self.replay_command(violation)}"
                for violation in self.violations
            ),
        ]

    def _headline(self) -> str:
        faults_a_minute = self.fault_count / max(self.minutes, 1e-9)
        return (
            f"seed {self.seed}: {self.rounds} rounds, {self.fault_count} faults in "
            f"{self.minutes:.1f} min ({faults_a_minute:.0f}/min), {self.states.total()} jobs, "
            f"{self.events} events"
        )

    def to_json(self) -> str:
        """Return the report for programs."""
        facts: dict[str, Any] = {
            "seed": self.seed,
            "rounds": self.rounds,
            "minutes": self.minutes,
            "faults": self.fault_count,
            "faults_by_jobs": self.by_jobs,
            "faults_from_outside": self.from_outside,
            "jobs_by_state": self.states,
            "attempts_by_cause": self.causes,
            "events": self.events,
            "outcomes_lost_with_worker": self.undelivered,
            "retried_by_clients": self.repeated,
            "parkings": self.parkings,
            "seconds_to_running_again": {
                name: {
                    "count": len(values),
                    "median": statistics.median(values),
                    "p99": _percentile(values, 0.99),
                    "max": max(values),
                }
                for name, values in self._seconds_by_kind().items()
            },
            "violations": [
                {**attrs.asdict(one), "replay": self.replay_command(one)} for one in self.violations
            ],
        }
        return json.dumps(facts, indent=2)

    def _seconds_by_kind(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for latency in self.latencies:
            for name in (latency.kind, f"{latency.kind}: {latency.fault}"):
                found.setdefault(name, []).append(latency.seconds)
        return found


def _table(title: str, counts: Counter[str]) -> Iterable[str]:
    yield f"{title:<32}{counts.total():>7}"
    for name, count in sorted(counts.items()):
        yield f"  {name:<30}{count:>7}"
    yield ""


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
