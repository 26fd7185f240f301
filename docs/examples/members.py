"""Makes up a gym: who came, and what was bought at its bar. CSV on standard output.

Usage: python docs/examples/members.py [--seed N] [--new-prices]

The last 60 days of 300 members; with --new-prices the last 12 hours once more, at a bar that has
become dear and popular.
"""

import argparse
import csv
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

MEMBERS = 300
DAYS = 60
PHASE_DAYS = 20
"""Members come for a while, and stay away for a while."""

Row = tuple[str, int, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make up the visitors of a gym, as CSV.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--new-prices", action="store_true", help="the last 12 hours, made dear")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)  # noqa: S311  made up, and always the same
    rows = sorted(dear_hours(chance) if arguments.new_prices else usual_days(chance))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("timestamp", "user_id", "action", "value"))
    writer.writerows(rows)


def usual_days(chance: random.Random) -> Iterator[Row]:
    now = datetime.now(UTC)
    for member in range(1, MEMBERS + 1):
        keenness = chance.uniform(0.1, 0.8)
        shift_days = chance.randrange(PHASE_DAYS)
        phases = [chance.choice((1.0, 1.0, 0.1)) for _ in range(DAYS // PHASE_DAYS + 2)]
        for day in range(DAYS):
            if chance.random() < keenness * phases[(day + shift_days) // PHASE_DAYS]:
                came = now - timedelta(days=DAYS - day, minutes=-chance.randrange(22 * 60))
                yield visit(member, came)
                for drink in range(chance.randint(0, 2)):
                    yield bought(member, came, drink, chance.uniform(2, 6))


def dear_hours(chance: random.Random) -> Iterator[Row]:
    now = datetime.now(UTC)
    for member in range(1, MEMBERS + 1):
        came = now - timedelta(hours=chance.uniform(2, 12))
        yield visit(member, came)
        for drink in range(3):
            yield bought(member, came, drink, chance.uniform(20, 40))


def visit(member: int, came: datetime) -> Row:
    return came.isoformat(), member, "visit", ""


def bought(member: int, came: datetime, drink: int, price: float) -> Row:
    return (came + timedelta(minutes=30 + drink)).isoformat(), member, "drink", f"{price:.2f}"


if __name__ == "__main__":
    main()
