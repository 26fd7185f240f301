"""What the features need of the store: queries, nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa


class HistoryReader(Protocol):
    """Runs a query over the data file in a thread; `engine.store.Reader` is one."""

    async def fetch_rows(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout_s: float | None = None,
    ) -> list[tuple[Any, ...]]:
        """Run a query and return its rows as Python objects."""

    async def fetch_arrow(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout_s: float | None = None,
        tables: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """Run a query that may also name `tables` and return its result as an Arrow table."""
