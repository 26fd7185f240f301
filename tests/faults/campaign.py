"""Rounds of faults in worlds of several kinds, until the time is over."""

import math
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from tests.faults.audit import audit
from tests.faults.effects import Ended, audit_effects
from tests.faults.feature_answers import LAG, read_metric
from tests.faults.leaks import LeakCheck, find_marked
from tests.faults.misdeeds import MISDEEDS
from tests.faults.plan import (
    Intensity,
    PlannedJob,
    RoundPlan,
    WorldKind,
    find_turn,
    plan_round,
)
from tests.faults.registry import Facility, Fault, collect_facilities, collect_faults
from tests.faults.report import Report, Violation
from tests.faults.rounds import Round, RoundOutcome
from tests.faults.world import World, open_world, stop_engine
from tests.support.engine_process import EngineProcess
from tests.support.event_source import EventSource

TOPIC: Final = "trellis.events"
KINDS: Final = (
    WorldKind((), 3),
    WorldKind(("redis_proxy", "kafka_proxy", "client_proxies"), 4),
    WorldKind(("kept_broker", "own_clock"), 2),
    WorldKind(("remote_agent",), 2),
    WorldKind(("small_disk",), 2),
    WorldKind(("kept_broker", "small_redis_disk"), 2),
    WorldKind(("default_lease",), 2),
    WorldKind(("old_rows", "small_blob_disk", "kept_broker"), 2),
)
"""As many rounds as it takes for each to have all faults that others have not, and few enough that
all have had their turn within half an hour."""
_EVENTS_PER_SECOND: Final = 300.0
_PARKED: Final = "workers of a slot fail too often; it is parked"
_CONSUMED_S: Final = 60.0
_NO_LAG_S: Final = 3.0
_POLL_S: Final = 0.1


@attrs.frozen(kw_only=True)
class Options:
    """What campaign to run.

    Attributes:
      minutes: no round begins after that.
      rounds: nor more than so many.
      first_round: for a replay; rounds are numbered from 0.
      only: names of faults, from outside or of jobs; empty: all.
      kinds: of the worlds, which come in turns.
    """

    seed: int
    minutes: float | None = None
    rounds: int | None = None
    first_round: int = 0
    only: frozenset[str] = frozenset()
    intensity: Intensity = attrs.field(factory=Intensity)
    kinds: Sequence[WorldKind] = KINDS
    folder: Path | None = None
    """Where to leave everything behind; None: nowhere."""


def known_faults() -> dict[str, str]:
    """Return the names of all faults, with who commits them."""
    return {
        **dict.fromkeys(sorted(collect_faults()), "from outside"),
        **dict.fromkeys(sorted(MISDEEDS), "a job"),
    }


async def run_campaign(options: Options, report: Report, say: Callable[[str], None]) -> None:
    """Run it; `report` grows as it goes, and is whole at any time.

    Cancellation: everything that was started is killed.
    """
    campaign = _Campaign(options, report, say)
    if options.folder is not None:
        await campaign.run(options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="trellis-faults-") as folder:
        await campaign.run(Path(folder))


def plan_of(
    options: Options,
    number: int,
    tags: frozenset[str],
    faults: Mapping[str, Fault],
    facilities: Mapping[str, Facility],
) -> RoundPlan:
    """Return the plan of a round in a world with these tags."""
    only = options.only
    usable = [
        fault
        for _, fault in sorted(faults.items())
        if fault.needs <= tags and (not only or fault.name in only)
    ]
    return plan_round(
        options.seed,
        number,
        options.intensity,
        [fault.name for fault in usable if not fault.needs & facilities.keys()],
        [name for name in MISDEEDS if not only or name in only],
        rare=[fault.name for fault in usable if fault.needs & facilities.keys()],
        rare_number=find_turn(options.kinds, number).of_kind,
    )


class _Campaign:
    def __init__(self, options: Options, report: Report, say: Callable[[str], None]) -> None:
        self._options = options
        self._report = report
        self._say = say
        self._faults = collect_faults()
        self._facilities = collect_facilities()
        self._number = options.first_round
        self._deadline_s = trio.current_time() + 60 * (options.minutes or 1e6)

    @property
    def _is_over(self) -> bool:
        done = self._number - self._options.first_round
        enough = self._options.rounds is not None and done >= self._options.rounds
        return enough or trio.current_time() >= self._deadline_s

    async def run(self, folder: Path) -> None:
        while not self._is_over:
            await self._run_world(folder / f"world-{self._number}")

    async def _run_world(self, folder: Path) -> None:
        options = self._options
        turn = find_turn(options.kinds, self._number)
        # Not every machine has them all: a small disk wants the right to mount it.
        facilities: list[Facility] = [
            self._facilities[name] for name in turn.kind.facilities if name in self._facilities
        ]
        names = ", ".join(facility.name for facility in facilities)
        self._say(f"world: {names or 'embedded servers'}")
        jobs: dict[str, PlannedJob] = {}
        ended: dict[str, Ended] = {}
        leaks = LeakCheck()
        async with (
            open_world(folder, facilities, seed=options.seed) as world,
            _events(world, options.seed) as source,
        ):
            while True:
                outcome = await self._run_round(world, leaks)
                jobs |= outcome.jobs
                ended |= outcome.ended
                self._number += 1
                if outcome.stuck:
                    # Its log goes with its folder.
                    self._say(world.target.engine.log_tail(60))
                    return
                if self._is_over or find_turn(options.kinds, self._number).index == 0:
                    break
            await self._end_world(world, source, jobs, ended)

    async def _run_round(self, world: World, leaks: LeakCheck) -> RoundOutcome:
        options, number = self._options, self._number
        plan = plan_of(options, number, world.tags, self._faults, self._facilities)
        outcome = await Round(world, plan, self._faults).run(leaks)
        self._report.add_round(outcome)
        self._say(
            f"round {number}: {len(outcome.jobs)} jobs, {outcome.by_jobs.total()} faults by jobs, "
            f"{len(outcome.from_outside)} from outside, {outcome.seconds:.1f} s, "
            f"{len(outcome.findings.violations)} violations"
        )
        for fault in sorted(outcome.from_outside, key=lambda fault: fault.began_ns):
            self._say(f"  {fault.name}: {fault.description}")
        for violation in outcome.findings.violations:
            self._say(f"  VIOLATION {violation}")
        return outcome

    async def _end_world(
        self,
        world: World,
        source: EventSource | None,
        jobs: dict[str, PlannedJob],
        ended: dict[str, Ended],
    ) -> None:
        """Stop the engine in order and look at what it has left."""
        found: list[str] = []
        engine = world.target.engine
        if source is not None:
            await trio.to_thread.run_sync(source.stop)
            await _wait_until_consumed(engine)
        code = await stop_engine(world)
        if code != 0:
            found.append(f"the engine ended with {code} on SIGTERM: {engine.log_tail()}")
        for host in world.target.remote_hosts:
            found += await trio.to_thread.run_sync(host.end)
        found += [
            f"process {pid} outlived its engine" for pid in find_marked(world.target.data_dir)
        ]
        found += _tracebacks(engine.log_path)
        self._report.parkings += engine.log_path.read_text(errors="replace").count(_PARKED)
        found += await trio.to_thread.run_sync(audit_effects, world.data_file, jobs, ended)
        for look in world.target.audits:
            found += await trio.to_thread.run_sync(look, world.target.data_dir)
        if source is not None:
            check = partial(
                audit,
                world.data_file,
                TOPIC,
                source.sent(),
                all_consumed=True,
                may_refuse="own_clock" in world.tags,
            )
            events = await trio.to_thread.run_sync(check)
            self._report.events += events.events
            if not events.clean:
                found.append(f"events: {attrs.evolve(events, details=events.details[:10])}")
        self._report.violations += [Violation(self._number - 1, text) for text in found]
        self._say(f"world ended: {len(found)} violations")
        for text in found:
            self._say(f"  VIOLATION {text}")


async def _wait_until_consumed(engine: EngineProcess) -> None:
    """Wait until nothing more comes: the lag is what was last heard of the broker."""
    zero_since_s = math.inf
    with trio.move_on_after(_CONSUMED_S):  # what is missing then, the audit finds
        while trio.current_time() - zero_since_s < _NO_LAG_S:
            lag = await trio.to_thread.run_sync(read_metric, engine, LAG)
            zero_since_s = min(zero_since_s, trio.current_time()) if lag == 0 else math.inf
            await trio.sleep(_POLL_S)


def _tracebacks(log: Path) -> list[str]:
    """Return lines of the engine's log that no fault may lead to."""
    lines = log.read_text(errors="replace").splitlines()
    return [f"the engine's log: {line[:600]}" for line in lines if "Traceback" in line]


@asynccontextmanager
async def _events(world: World, seed: int) -> AsyncIterator[EventSource | None]:
    """Send events to a broker that outlives the engine, if there is one."""
    if world.kafka is None:
        yield None
        return
    source = EventSource(world.kafka, TOPIC, seed=seed, events_per_second=_EVENTS_PER_SECOND)
    with source:
        yield source
