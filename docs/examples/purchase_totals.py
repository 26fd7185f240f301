"""A job of your own: what each user has spent, in a file of purchases."""

import csv
from collections import Counter
from pathlib import Path

from engine.tasks.context import JobContext
from engine.tasks.errors import PermanentJobError

FOLDER = Path(__file__).parent


def run(job: JobContext) -> dict[str, object]:
    """Return the sums, in cents, of the file that the payload names."""
    name = str(job.payload.get("file", ""))
    try:
        rows = list(csv.DictReader((FOLDER / name).read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        # Another attempt would end the same, so there is none.
        raise PermanentJobError("unreadable_file", f"{name!r}: {error.strerror}") from error
    cents: Counter[str] = Counter()
    for row in rows:
        cents[row["user_id"]] += round(float(row["value"]) * 100)
        job.count("purchases")
        job.advance(total=len(rows), note="adding up")
    job.logger.info("%d purchases of %d users", len(rows), len(cents))
    return {"cents_by_user": dict(cents)}
