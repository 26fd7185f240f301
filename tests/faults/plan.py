"""What a campaign will do, as its seed says: the same seed and round give the same plan."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from tests.faults.misdeeds import MISDEEDS, TO_BE_CANCELLED

ALWAYS: Final = 1_000
"""Times that no job has attempts."""
JOB_TYPE: Final = "faulty"
SHORT_LIVED: Final = "faulty_short_lived"
"""A type whose jobs are given up after `SHORT_LIVED_ATTEMPTS`."""
RESERVED: Final = "faulty_reserved"
"""A type with a pool of its own."""
MAX_ATTEMPTS: Final = 8
SHORT_LIVED_ATTEMPTS: Final = 2
_GOOD_JOBS_A_DECK: Final = 6
_RARE_SHARE: Final = 0.6
_UPLOAD_ROWS: Final = 30_000
_REPEATED_SHARE: Final = 0.5
_FIRST_ENTITY: Final = 1_000_000
"""Users of uploads are no users of events, and each is of one upload only."""


@attrs.frozen
class PlannedJob:
    """A job that is to be accepted, or an upload, whose job comes with it.

    Attributes:
      key: unique in the campaign.
      misdeed: empty: the job behaves.
      times: in how many of its first attempts it misbehaves.
      after_s: from the round's begin to its submission.
    """

    key: str
    job_type: str
    misdeed: str
    times: int
    after_s: float
    delay_s: float = 0.0
    priority: int = 0
    work_s: float = 0.0
    is_repeated: bool = False
    """Whether a client retries it should it not succeed."""
    first_entity: int = 0

    @property
    def is_upload(self) -> bool:
        return self.job_type == "process_upload"

    @property
    def max_attempts(self) -> int:
        return SHORT_LIVED_ATTEMPTS if self.job_type == SHORT_LIVED else MAX_ATTEMPTS

    @property
    def final(self) -> str:
        """The state it must end in, unless faults from outside use its attempts up."""
        if not self.misdeed:
            return "SUCCEEDED"
        misdeed = MISDEEDS[self.misdeed]
        if misdeed.final:
            return misdeed.final
        return "DEAD" if misdeed.causes and self.times >= self.max_attempts else "SUCCEEDED"

    def payload_json(self, log_folder: Path) -> str:
        """Return the request of a job that is no upload; it logs to `log_folder`."""
        return json.dumps(
            {
                "key": self.key,
                "misdeed": self.misdeed,
                "times": self.times,
                "work_s": self.work_s,
                "log": str(log_folder),
            }
        )

    @property
    def entities(self) -> range:
        """The entity keys of an upload's rows, one row each."""
        return range(self.first_entity, self.first_entity + _UPLOAD_ROWS)

    @property
    def content(self) -> bytes:
        """Of an upload."""
        rows = (
            {"user_id": entity, "plan": self.key, "updated_at": "2026-01-01T00:00:00Z"}
            for entity in self.entities
        )
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@attrs.frozen
class PlannedFault:
    """A fault from outside; `seed` is for what it chooses itself."""

    name: str
    after_s: float
    seed: str

    @property
    def rng(self) -> random.Random:
        return random.Random(self.seed)


@attrs.frozen
class RoundPlan:
    """A round: jobs and faults, with their moments from its begin."""

    number: int
    jobs: tuple[PlannedJob, ...]
    faults: tuple[PlannedFault, ...]


@attrs.frozen(kw_only=True)
class Intensity:
    """How much there is in a round."""

    jobs: int = 36
    uploads: int = 6
    faults: int = 10
    spread_s: float = 20.0
    """The time over which jobs and faults are spread."""


@attrs.frozen
class WorldKind:
    """A world by its facilities, and how many rounds it is used for."""

    facilities: tuple[str, ...]
    rounds: int


@attrs.frozen
class Turn:
    """A round's place among the worlds, which come in turns.

    Attributes:
      index: of the round in its world; 0: it is the first there.
      of_kind: how many rounds there were before it in worlds of its kind.
    """

    kind: WorldKind
    index: int
    of_kind: int


def find_turn(kinds: Sequence[WorldKind], number: int) -> Turn:
    """Return the place of a round."""
    cycle, index = divmod(number, sum(kind.rounds for kind in kinds))
    for kind in kinds:
        if index < kind.rounds:
            return Turn(kind, index, cycle * kind.rounds + index)
        index -= kind.rounds
    raise ValueError("no kind of world has a round")


def plan_round(
    seed: int,
    number: int,
    intensity: Intensity,
    faults: Sequence[str],
    misdeeds: Sequence[str] = tuple(MISDEEDS),
    *,
    rare: Sequence[str] = (),
    rare_number: int = 0,
) -> RoundPlan:
    """Plan a round.

    Over the rounds, faults and misdeeds are dealt from shuffled decks: none comes a second time
    before all have come once.

    Args:
      faults: names of those from outside that there are in every world.
      rare: of those that this round's world has and few others have. They have a deck of their own
        and come first: up to `_RARE_SHARE` of the round's faults, so that all are seen in the few
        rounds of such a world.
      rare_number: how many rounds there were before it in worlds like its own.
      misdeeds: of jobs; none: all jobs behave.
    """
    rng = random.Random(f"{seed}/{number}")
    deck = [*misdeeds, *[""] * _GOOD_JOBS_A_DECK]
    jobs = [
        _plan_job(rng, f"r{number}j{index}", intensity, _deal(seed, "job", deck, position))
        for index, position in enumerate(_positions(number, intensity.jobs))
    ]
    uploads = [
        _plan_upload(rng, f"r{number}u{index}", intensity, position)
        for index, position in enumerate(_positions(number, intensity.uploads))
    ]
    rare_count = min(len(rare), round(_RARE_SHARE * intensity.faults))
    dealt = [
        *(_deal(seed, "rare fault", rare, at) for at in _positions(rare_number, rare_count)),
        *(
            _deal(seed, "fault", faults, at)
            for at in _positions(number, intensity.faults - rare_count)
        ),
    ]
    planned = [
        PlannedFault(name, rng.uniform(0, intensity.spread_s), f"{seed}/{number}/{index}")
        for index, name in enumerate(dealt)
        if name
    ]
    return RoundPlan(
        number,
        tuple(sorted([*jobs, *uploads], key=lambda job: job.after_s)),
        tuple(sorted(planned, key=lambda fault: fault.after_s)),
    )


def _positions(number: int, count: int) -> range:
    return range(number * count, (number + 1) * count)


def _deal(seed: int, what: str, deck: Sequence[str], position: int) -> str:
    if not deck:
        return ""
    cycle, index = divmod(position, len(deck))
    shuffled = list(deck)
    random.Random(f"{seed}/{what}/{cycle}").shuffle(shuffled)
    return shuffled[index]


def _plan_job(rng: random.Random, key: str, intensity: Intensity, misdeed: str) -> PlannedJob:
    job_type = rng.choices([JOB_TYPE, SHORT_LIVED, RESERVED], [0.7, 0.15, 0.15])[0]
    times = rng.choices([1, 2], [0.8, 0.2])[0]
    if misdeed in TO_BE_CANCELLED:
        job_type, times = JOB_TYPE, ALWAYS
    elif job_type == SHORT_LIVED:
        times = rng.choice([1, ALWAYS])
    if misdeed and MISDEEDS[misdeed].final:
        times = ALWAYS  # or a fault from outside might come before it
    return PlannedJob(
        key,
        job_type,
        misdeed,
        times,
        rng.uniform(0, intensity.spread_s / 2),
        delay_s=rng.choice([0.0, 0.0, 0.0, rng.uniform(0, 1)]),
        priority=rng.randint(-5, 5),
        work_s=rng.choice([0.0, 0.0, 0.1, 0.5]),
        is_repeated=rng.random() < _REPEATED_SHARE,
    )


def _plan_upload(rng: random.Random, key: str, intensity: Intensity, position: int) -> PlannedJob:
    return PlannedJob(
        key,
        "process_upload",
        misdeed="",
        times=0,
        after_s=rng.uniform(0, intensity.spread_s),
        first_entity=_FIRST_ENTITY + position * _UPLOAD_ROWS,
    )
