"""What uploads need of the store and of the jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from engine.jobs import JobSpec, Submission
from engine.records import Operation


class RowReader(Protocol):
    """Queries; `engine.store.Reader` is one."""

    async def fetch_rows(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return a query's rows."""

    async def fetch_arrow(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> pa.Table:
        """Return a query's result as a table."""


class JobAcceptance(Protocol):
    """Accepts jobs; `engine.jobs.Jobs` is one."""

    def new_job_id(self) -> str:
        """Return an id that no job has."""

    async def submit(
        self, spec: JobSpec, operations: Sequence[Operation] = (), job_id: str | None = None
    ) -> Submission:
        """Accept a job in one transaction with the operations."""
