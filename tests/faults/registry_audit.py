"""The models of a stopped engine: what aliases name is whole, and their log explains them."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import duckdb

from engine.backends.blobs.footer import FOOTER_BYTES


@attrs.frozen
class Told:
    """What clients were told.

    Attributes:
      champions: versions that calls have made champion of the model, in order.
      trainings: jobs that calls have started.
      answered_by: versions that have answered predictions.
    """

    model: str
    champions: Sequence[int]
    trainings: Iterable[str]
    answered_by: Iterable[int]


def find_registry_violations(data_dir: Path, told: Told) -> list[str]:
    """Compare the registry with its log, with the blobs, and with what clients were told."""
    with duckdb.connect(str(data_dir / "trellis.duckdb"), read_only=True) as connection:
        return [
            *_compare_with_log(connection, told),
            *_check_artifacts(connection, data_dir / "blobs/objects"),
            *_check_jobs(connection, told),
            *_check_answers(connection, told),
        ]


def _compare_with_log(connection: duckdb.DuckDBPyConnection, told: Told) -> list[str]:
    """Play the log and compare what comes out with the tables."""
    aliases: dict[str, int] = {}
    versions: set[tuple[str, int]] = set()
    champions: list[int] = []
    found = []
    for model, version, change, detail in _rows(
        connection,
        "SELECT model, version, change, detail FROM model_log ORDER BY commit_seq, rowid",
    ):
        facts: dict[str, Any] = json.loads(detail)
        match change:
            case "created" | "version added" | "trained":
                if (model, version) in versions:
                    found.append(f"{model} {version} is logged twice")
                versions.add((model, version))
            case "alias set":
                name = f"{model}/{facts['alias']}"
                if facts["before"] != aliases.get(name):
                    found.append(f"{name} was {aliases.get(name)}, and is logged as {facts}")
                aliases[name] = version
                if name == f"{told.model}/champion":
                    champions.append(version)
            case "alias removed":
                aliases.pop(f"{model}/{facts['alias']}", None)
            case _:
                pass
    tables = dict(_rows(connection, "SELECT model_alias, version FROM model_aliases"))
    if tables != aliases:
        found.append(f"aliases are {tables}, and by the log {aliases}")
    stored = _rows(connection, "SELECT model, version FROM model_versions")
    if sorted(stored) != sorted(versions):
        found.append(f"versions are {sorted(stored)}, and by the log {sorted(versions)}")
    if not _is_contained(told.champions, champions):
        found.append(f"calls have made champions {told.champions}, and the log has {champions}")
    return found


def _check_artifacts(connection: duckdb.DuckDBPyConnection, objects: Path) -> list[str]:
    """Every version that was trained has its blobs, as they were; an alias names no other one."""
    found = []
    for place, *parts in _rows(
        connection,
        "SELECT version_key, artifact, artifact_sha256, artifact_bytes, reference, "
        "reference_sha256, reference_bytes FROM model_artifacts",
    ):
        for blob, sha256, size_bytes in (parts[:3], parts[3:]):
            path = objects / blob.replace("/", "+")
            content = path.read_bytes()[:-FOOTER_BYTES] if path.exists() else b""
            if (hashlib.sha256(content).hexdigest(), len(content)) != (sha256, size_bytes):
                found.append(f"{place}: the blob {blob} has {len(content)} bytes of {size_bytes}")
    found += [
        f"the alias {alias} names version {version}, which was not trained"
        for alias, version in _rows(
            connection,
            "SELECT model_alias, version FROM model_aliases ANTI JOIN model_artifacts "
            "USING (model, version)",
        )
    ]
    return found


def _check_jobs(connection: duckdb.DuckDBPyConnection, told: Told) -> list[str]:
    found = [
        f"the job {job_id} has made {count} {what}"
        for what, table in (("versions", "model_artifacts"), ("drift reports", "drift_reports"))
        for job_id, count in _rows(
            connection, f"SELECT job_id, count(*) FROM {table} GROUP BY job_id HAVING count(*) > 1"
        )
    ]
    # A version, or a report, and its job's success are one commit.
    found += [
        f"the job {job_id} has left something and is not among those that have succeeded"
        for (job_id,) in _rows(
            connection,
            "SELECT job_id FROM model_artifacts UNION ALL SELECT job_id FROM drift_reports "
            "EXCEPT SELECT job_id FROM job_outcomes WHERE state = 'SUCCEEDED'",
        )
    ]
    accepted = {
        job_id
        for (job_id,) in _rows(connection, "SELECT job_id FROM job_log WHERE change = 'accepted'")
    }
    found += [
        f"the training {job_id} is lost" for job_id in told.trainings if job_id not in accepted
    ]
    found += [
        f"a drift report calls for the training {job_id}, which there is not"
        for (job_id,) in _rows(connection, "SELECT retrain_job_id FROM drift_reports")
        if job_id and job_id not in accepted
    ]
    return found


def _check_answers(connection: duckdb.DuckDBPyConnection, told: Told) -> list[str]:
    known = {
        version
        for (version,) in _rows(
            connection, f"SELECT version FROM model_artifacts WHERE model = '{told.model}'"
        )
    }
    recorded = {
        version
        for (version,) in _rows(
            connection, f"SELECT DISTINCT version FROM predictions WHERE model = '{told.model}'"
        )
    }
    return [
        f"version {version} has answered, and there is no such version"
        for version in sorted({*told.answered_by, *recorded} - known)
    ]


def _is_contained(some: Sequence[int], every: Sequence[int]) -> bool:
    """Tell whether `some` is in `every`, in order."""
    rest = iter(every)
    return all(any(one == other for other in rest) for one in some)


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()
