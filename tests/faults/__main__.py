"""A campaign of faults: `python -m tests.faults --seed 1 --minutes 30`.

`--rounds N` without `--minutes` is the older campaign, which only kills the engine, under a heavy
load of events, and works out again what it answered. With `--learning` it is one that trains, looks
for drift, promotes and rolls back.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import trio

from tests.faults.campaign import KINDS, Options, known_faults, run_campaign
from tests.faults.engine_kills import kill_and_restart
from tests.faults.learning_kills import kill_while_learning
from tests.faults.report import Report


def main() -> int:
    """Run the campaign, print its sums, return 1 if any invariant did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses faults, moments and events")
    parser.add_argument("--minutes", type=float, help="faults of all kinds for so long")
    parser.add_argument("--round", type=int, help="only this round, as it was with the same seed")
    parser.add_argument("--only", action="append", default=[], metavar="FAULT", help="repeatable")
    parser.add_argument("--world", metavar="FACILITY", help="only worlds that have it")
    parser.add_argument("--list", action="store_true", help="list the faults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report there")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave logs and data there")
    parser.add_argument(
        "--learning", action="store_true", help="with --rounds: kills while it learns"
    )
    parser.add_argument("--rounds", type=int, default=10, help="kills of the engine, nothing else")
    options = parser.parse_args()
    if options.list:
        for name, who in known_faults().items():
            print(f"{name:<32}{who}")
        return 0
    if options.learning:
        return _kill_while_learning(options.seed, options.rounds, options.keep)
    if options.minutes is None and options.round is None and not (options.only or options.world):
        return _kill_engines(options.seed, options.rounds)
    if unknown := set(options.only) - known_faults().keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; see --list")
    kinds = [kind for kind in KINDS if options.world in (None, *kind.facilities)]
    if not kinds:
        parser.error(f"no world has {options.world}")
    single = options.minutes is None
    campaign = Options(
        seed=options.seed,
        minutes=options.minutes,
        rounds=1 if single else None,
        first_round=options.round or 0,
        only=frozenset(options.only),
        kinds=kinds,
        folder=options.keep,
    )
    return _run(campaign, options.world, options.json)


def _run(campaign: Options, world: str | None, json_path: Path | None) -> int:
    report = Report(campaign.seed, world)
    try:
        trio.run(run_campaign, campaign, report, _say)
    finally:
        print("\n".join(report.lines()))
        if json_path is not None:
            json_path.write_text(report.to_json())
    return 1 if report.violations else 0


def _kill_engines(seed: int, rounds: int) -> int:
    with tempfile.TemporaryDirectory(prefix="trellis-faults-") as folder:
        outcome = kill_and_restart(Path(folder), rounds=rounds, seed=seed, report=_say)
    for detail in outcome.details:
        print(detail)
    print(
        f"{outcome.rounds} kills, {outcome.sent} messages acknowledged: {outcome.lost} lost, "
        f"{outcome.repeated} repeated, {outcome.altered} altered, {outcome.offset_gaps} offset "
        f"disagreements, {outcome.mismatches} mismatches; start to ready "
        f"{statistics.median(outcome.seconds_to_ready):.2f} s (median)"
    )
    return 0 if outcome.clean else 1


def _kill_while_learning(seed: int, rounds: int, folder: Path | None) -> int:
    with tempfile.TemporaryDirectory(prefix="trellis-faults-") as scratch:
        outcome = kill_while_learning(
            folder or Path(scratch), rounds=rounds, seed=seed, report=_say
        )
    for text in outcome.violations:
        print(f"VIOLATION {text}")
    print(
        f"{outcome.rounds} kills, {outcome.worker_kills} of workers: {outcome.versions} versions, "
        f"{outcome.reports} drift reports, {outcome.moves} promotions and rollbacks by calls, "
        f"{outcome.answers} predictions; {len(outcome.violations)} violations"
    )
    return 1 if outcome.violations else 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
