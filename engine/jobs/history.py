"""What the data file knows of jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from engine.jobs.journal import Outcome
from engine.jobs.states import Cause, JobState
from engine.store.queries import load_queries


class RowReader(Protocol):
    """What is needed of the store's reader."""

    async def fetch_rows(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""


@attrs.frozen
class JobFacts:
    """A job's request, and its last run as far as it is on disk. Times in microseconds, UTC."""

    job_id: str
    run: int
    job_type: str
    payload_json: str
    pool: str
    priority: int
    max_attempts: int
    idempotency_key: str | None
    request_id: str
    accepted_at_us: int
    run_accepted_at_us: int
    attempt: int
    """The last attempt that has ended otherwise than in success; 0 if none has."""
    failures: int
    put_off_at_us: int
    """When the last of these happened: accepted, retried, an attempt ended."""
    due_at_us: int | None
    """Until when the next attempt was put off then, if it was."""
    cancel_requested: bool
    outcome: Outcome | None
    traceparent: str = ""
    """Of the span that accepted it."""


@attrs.frozen
class PastAttempt:
    """An attempt that has ended."""

    run: int
    attempt: int
    cause: Cause
    charged: bool
    worker_id: str
    slot: str
    pid: int | None
    started_at_us: int | None
    ended_at_us: int
    detail: str
    stack: str


@attrs.frozen
class PastAttempts:
    """The latest attempts of a job, in order, and how many there were before them."""

    shown: tuple[PastAttempt, ...] = ()
    left_out: int = 0


@attrs.frozen
class JobFilter:
    """Which jobs to list; what is left empty matches all."""

    state: JobState | None = None
    job_type: str = ""
    pool: str = ""


UNFINISHED = "UNFINISHED"
_REQUEST_FIELDS = tuple(field.name for field in attrs.fields(JobFacts) if field.name != "outcome")
"""In the order in which the query `facts` selects them, before those of the outcome."""


class JobHistory:
    """Queries of `job_log` and `job_outcomes`. Every method raises StoreError."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._sql = load_queries("engine.jobs")

    async def fetch_last_job_id(self) -> str:
        """Return the highest job id, empty if there is none."""
        [(job_id,)] = await self._reader.fetch_rows(self._sql["last_job_id"])
        return job_id or ""

    async def fetch_pools(self) -> list[str]:
        """Return every pool that jobs were accepted for."""
        return [pool for (pool,) in await self._reader.fetch_rows(self._sql["pools"])]

    async def find_by_key(self, idempotency_key: str) -> str | None:
        """Return the job that was accepted with a key."""
        rows = await self._reader.fetch_rows(
            self._sql["by_idempotency_key"], {"key": idempotency_key}
        )
        return rows[0][0] if rows else None

    async def fetch_unfinished(self, after: str, most: int) -> list[str]:
        """Return ids of jobs whose last run has not ended, in order, from the one after `after`."""
        rows = await self._reader.fetch_rows(
            self._sql["unfinished_after"], {"after": after, "most": most}
        )
        return [job_id for (job_id,) in rows]

    async def fetch_facts(self, job_ids: Sequence[str]) -> dict[str, JobFacts]:
        """Return what is known of those of the jobs that were accepted."""
        if not job_ids:
            return {}
        rows = await self._reader.fetch_rows(self._sql["facts"], {"job_ids": list(job_ids)})
        return {row[0]: _facts(row) for row in rows}

    async def fetch_attempts(self, job_id: str, most: int) -> PastAttempts:
        """Return the latest attempts of all runs that have ended, in order."""
        rows = await self._reader.fetch_rows(
            self._sql["attempts"], {"job_id": job_id, "most": most}
        )
        shown = tuple(
            PastAttempt(run, attempt, Cause(cause), *rest)
            for _, run, attempt, cause, *rest in reversed(rows)
        )
        return PastAttempts(shown, left_out=rows[0][0] - len(rows) if rows else 0)

    async def find_ended(self, keys: Sequence[str]) -> set[str]:
        """Return which of the outcome keys are taken."""
        rows = await self._reader.fetch_rows(self._sql["outcome_keys"], {"keys": list(keys)})
        return {key for (key,) in rows}

    async def fetch_page(
        self, wanted: JobFilter, *, unfinished: bool, before: str, most: int
    ) -> list[str]:
        """Return ids of jobs, latest first, from the one before `before`.

        Args:
          unfinished: instead of those in the filter's state, those that have not ended.
        """
        state = UNFINISHED if unfinished else str(wanted.state or "")
        parameters: dict[str, str | int] = {
            "job_type": wanted.job_type,
            "pool": wanted.pool,
            "before": before,
            "most": most,
        }
        if state:
            sql, parameters["state"] = self._sql["page_in_state"], state
        else:
            sql = self._sql["page"]
        rows = await self._reader.fetch_rows(sql, parameters)
        return [job_id for (job_id,) in rows]


def _facts(row: tuple[Any, ...]) -> JobFacts:
    count = len(_REQUEST_FIELDS)
    of_request = dict(zip(_REQUEST_FIELDS, row[:count], strict=True))
    return JobFacts(**of_request, outcome=_outcome(row[0], row[1], *row[count:]))


def _outcome(
    job_id: str,
    run: int,
    state: str | None,
    attempt: int,
    failures: int,
    result_json: str | None,
    error_code: str | None,
    error_message: str | None,
    worker_id: str | None,
    slot: str | None,
    pid: int | None,
    started_at_us: int | None,
    finished_at_us: int,
) -> Outcome | None:
    if state is None:
        return None
    return Outcome(
        job_id=job_id,
        run=run,
        state=JobState(state),
        attempt=attempt,
        failures=failures,
        finished_at_us=finished_at_us,
        result_json=result_json,
        error_code=error_code,
        error_message=error_message,
        worker_id=worker_id,
        slot=slot,
        pid=pid,
        started_at_us=started_at_us,
    )
