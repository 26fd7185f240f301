"""One round with a fault of every kind that a world of embedded servers has."""

import pytest
import trio

from tests.faults.campaign import KINDS, Options, plan_of, run_campaign
from tests.faults.misdeeds import MISDEEDS
from tests.faults.plan import Intensity, find_turn
from tests.faults.process_faults import EMBEDDED_KAFKA, EMBEDDED_REDIS
from tests.faults.registry import collect_facilities, collect_faults
from tests.faults.report import Report

_LONGEST_S = 240.0
"""It takes less than a minute on an idle machine of two cores."""
_NEED_THE_ENGINE = {"kill_upload", "stop_upload", "drain_slot", "drain_slot_by_console"}
"""These find no upload, or no worker, if the engine is down just then."""
_KEPT_FROM_IT = 2
"""So many jobs at most may end by the faults of others each time before they come to their own."""


@pytest.mark.parametrize("seed", range(5))
def test_every_fault_is_dealt_before_the_worlds_have_all_had_their_second_turn(seed: int) -> None:
    faults, facilities = collect_faults(), collect_facilities()
    dealt: set[str] = set()
    for number in range(sum(kind.rounds for kind in KINDS)):
        own = set(find_turn(KINDS, number).kind.facilities)
        embedded = {EMBEDDED_REDIS: {"redis_proxy"}, EMBEDDED_KAFKA: {"kafka_proxy", "kept_broker"}}
        tags = own | {tag for tag, instead in embedded.items() if not own & instead}
        plan = plan_of(Options(seed=seed), number, frozenset(tags), faults, facilities)
        dealt |= {fault.name for fault in plan.faults}
    assert dealt == faults.keys()


async def test_no_fault_loses_or_repeats_a_job_or_leaves_anything_behind() -> None:
    embedded = {EMBEDDED_REDIS, EMBEDDED_KAFKA}
    faults = {name for name, fault in collect_faults().items() if fault.needs <= embedded}
    options = Options(
        seed=20_260_101,
        rounds=1,
        intensity=Intensity(jobs=len(MISDEEDS) + 6, uploads=4, faults=len(faults), spread_s=10.0),
    )
    report = Report(options.seed)
    lines: list[str] = []
    with trio.fail_after(_LONGEST_S):
        await run_campaign(options, report, lines.append)
    assert report.violations == [], "\n".join(lines)
    assert report.by_jobs.keys() <= MISDEEDS.keys()
    assert len(MISDEEDS.keys() - report.by_jobs.keys()) <= _KEPT_FROM_IT
    assert report.from_outside.keys() >= faults - _NEED_THE_ENGINE
