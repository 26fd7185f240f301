"""The data file of a stopped engine: did every effect land once?"""

from collections.abc import Mapping
from pathlib import Path

import attrs
import duckdb

from tests.faults.plan import PlannedJob


@attrs.frozen
class Ended:
    """How often a job was run, and whether it has succeeded at last."""

    runs: int
    succeeded: bool


def audit_effects(
    data_file: Path, jobs: Mapping[str, PlannedJob], ended: Mapping[str, Ended]
) -> list[str]:
    """Return everything in the file that contradicts what clients were told.

    Args:
      data_file: no engine may hold it.
      jobs: all that were accepted, by their ids.
      ended: how they have.
    """
    good = {job_id for job_id, one in ended.items() if one.succeeded}
    with duckdb.connect(str(data_file), read_only=True) as connection:
        return [
            *_audit_jobs(connection, ended),
            *_audit_uploads(connection, jobs, good),
        ]


def _audit_jobs(connection: duckdb.DuckDBPyConnection, ended: Mapping[str, Ended]) -> list[str]:
    found = []
    for table, condition, expected in (
        ("job_outcomes", "true", {job_id: one.runs for job_id, one in ended.items()}),
        ("job_log", "change = 'accepted'", dict.fromkeys(ended, 1)),
        ("job_log", "change = 'retried'", {job_id: one.runs - 1 for job_id, one in ended.items()}),
    ):
        counts = dict(
            connection.execute(
                f"SELECT job_id, count(*) FROM {table} WHERE {condition} GROUP BY job_id"
            ).fetchall()
        )
        found += [
            f"job {job_id}: {counts.get(job_id, 0)} rows in {table} where {condition}, "
            f"not {expected.get(job_id, 0)}"
            for job_id in ended.keys() | counts.keys()
            if counts.get(job_id, 0) != expected.get(job_id, 0)
        ]
    return found


def _audit_uploads(
    connection: duckdb.DuckDBPyConnection, jobs: Mapping[str, PlannedJob], good: set[str]
) -> list[str]:
    found = []
    for job_id, job in jobs.items():
        if not job.is_upload:
            continue
        [counts] = connection.execute(
            "SELECT count(*), count(DISTINCT entity_key), "
            "count(*) FILTER (json_extract_string(fields, '$.plan') = ?) "
            "FROM feature_history WHERE entity_key BETWEEN ? AND ?",
            [job.key, job.entities[0], job.entities[-1]],
        ).fetchall()
        rows = len(job.entities) if job_id in good else 0
        if counts != (rows, rows, rows):
            found.append(
                f"upload of job {job_id} ({job.key}): rows, entities and right values are "
                f"{counts}, not {rows} each"
            )
    return found
