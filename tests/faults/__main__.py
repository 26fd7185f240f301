"""A campaign of kills: `python -m tests.faults --seed 1 --rounds 100`."""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from tests.faults.engine_kills import kill_and_restart


def main() -> int:
    """Run the campaign, print its sums, return 1 if anything was lost, repeated or differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments and the events")
    parser.add_argument("--rounds", type=int, default=10, help="kills of the engine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trellis-faults-") as folder:
        outcome = kill_and_restart(
            Path(folder),
            rounds=options.rounds,
            seed=options.seed,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
    for detail in outcome.details:
        print(detail)
    print(
        f"{outcome.rounds} kills, {outcome.sent} messages acknowledged: {outcome.lost} lost, "
        f"{outcome.repeated} repeated, {outcome.altered} altered, {outcome.offset_gaps} offset "
        f"disagreements, {outcome.mismatches} mismatches; start to ready "
        f"{statistics.median(outcome.seconds_to_ready):.2f} s (median)"
    )
    return 0 if outcome.clean else 1


if __name__ == "__main__":
    sys.exit(main())
