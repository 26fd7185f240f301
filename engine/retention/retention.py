"""The part of the engine that has rows moved when they are due."""

import logging
from collections.abc import Sequence
from typing import Final

import attrs
import pyarrow as pa
import trio

from engine import metrics
from engine.clock import Clock
from engine.errors import TrellisError
from engine.retention.archiver import Archiver, Bound
from engine.retention.bounds import compute_delay_s, compute_until_us, cut_steps
from engine.retention.movable import MovableTable

logger = logging.getLogger(__name__)

_PAGE_STEPS: Final = 8
"""Steps whose keys are found by one query, which reads everything that is due each time."""
_SECOND_US: Final = 1_000_000


@attrs.frozen
class Pace:
    """How much is moved at once, and how often."""

    step_rows: int = 100_000
    """What is deleted together is a wait for every other commit: a tenth of a second."""
    step_bytes: int = 64 * 2**20
    """What a step has in memory at once, beside what has a fixed size in a row."""
    longest_rest_s: float = 5.0
    """Most time between two steps; it is otherwise as long as the one before took."""
    visit_s: float = 60.0
    """Between two looks whether a day has passed."""
    first_delay_s: float = 30.0
    """After a failure. Longer than a request to the blob store that was given up can still be under
    way: it could bring about the blob after it was deleted."""
    longest_delay_s: float = 1_800.0


@attrs.define
class _Progress:
    """Where a table stands."""

    moved_until_us: int | None = None
    failures: int = 0
    next_try_s: float = 0.0


class Retention:
    """Visits the tables whose old rows are moved. Used from the Trio thread."""

    def __init__(
        self,
        tables: Sequence[MovableTable],
        archiver: Archiver,
        clock_us: Clock,
        pace: Pace | None = None,
    ) -> None:
        self._tables = tuple(tables)
        self._archiver = archiver
        self._clock_us = clock_us
        self._pace = pace or Pace()
        self._progress = {table.name: _Progress() for table in tables}

    async def run(self) -> None:
        """Move what is due, until cancelled; what fails is logged and tried again, ever later.

        Cancellation: also in the middle of a step, whose rows are then where they were, or moved.
        """
        await self._show_start()
        while True:
            for table in self._tables:
                await self._visit(table)
            await trio.sleep(self._pace.visit_s)

    async def move_due(self, table: MovableTable) -> int:
        """Move all rows of a table that are due now; return how many those were.

        Raises: as `Archiver.move`, `Archiver.discard_unfinished`.
        Cancellation: as `run`.
        """
        if discarded := await self._archiver.discard_unfinished():
            logger.info("unfinished archives removed", extra={"archives": discarded})
        bound = await self._archiver.find_bound(
            table, compute_until_us(self._clock_us(), table.days)
        )
        moved = 0 if bound is None else await self._move_before(table, bound)
        await self._show_oldest(table)
        logger.info("due rows moved to the blob store", extra={"table": table.name, "rows": moved})
        return moved

    async def _visit(self, table: MovableTable) -> None:
        progress = self._progress[table.name]
        until_us = compute_until_us(self._clock_us(), table.days)
        if progress.moved_until_us == until_us:
            self._show_success(table)
            return
        if trio.current_time() < progress.next_try_s:
            return
        try:
            await self.move_due(table)
        except TrellisError as error:
            progress.failures += 1
            delay_s = compute_delay_s(
                progress.failures, self._pace.first_delay_s, self._pace.longest_delay_s
            )
            progress.next_try_s = trio.current_time() + delay_s
            metrics.RETENTION_FAILURES.labels(table.name).inc()
            logger.warning(
                "rows cannot be moved to the blob store; they stay in the data file",
                extra={"table": table.name, "detail": str(error), "again_in_s": delay_s},
            )
            return
        self._progress[table.name] = _Progress(until_us)
        self._show_success(table)

    async def _move_before(self, table: MovableTable, bound: Bound) -> int:
        """Move page after page of what lies before a bound; return the number of rows."""
        most_rows = _PAGE_STEPS * self._pace.step_rows
        total = 0
        while True:
            keys = await self._archiver.fetch_keys(table, bound, most_rows)
            weights = keys["weight_bytes"].to_numpy()
            moved = 0
            for first, count in cut_steps(weights, self._pace.step_rows, self._pace.step_bytes):
                moved += await self._take_step(table, bound, keys.slice(first, count))
            total += moved
            # A page of which nothing was moved has changed meanwhile: the next visit finds it anew.
            if keys.num_rows < most_rows or not moved:
                return total

    async def _take_step(self, table: MovableTable, bound: Bound, keys: pa.Table) -> int:
        started_s = trio.current_time()
        moved = await self._archiver.move(table, bound, keys)
        took_s = trio.current_time() - started_s
        metrics.RETENTION_ARCHIVE_SECONDS.labels(table.name).observe(took_s)
        metrics.RETENTION_ROWS.labels(table.name).inc(moved.rows)
        metrics.RETENTION_BYTES.labels(table.name).inc(moved.size_bytes)
        # As long as it worked: a backlog of years leaves half of a processor to the rest.
        await trio.sleep(min(took_s, self._pace.longest_rest_s))
        return moved.rows

    async def _show_start(self) -> None:
        """Have the gauges go on where the last engine on this file left off."""
        now_us = self._clock_us()
        stored_us = await self._archiver.fetch_last_stored()
        for table in self._tables:
            metrics.RETENTION_SUCCESS_TIMESTAMP_SECONDS.labels(table.name).set(
                stored_us.get(table.name, now_us) / _SECOND_US
            )
            for counter in (metrics.RETENTION_ROWS, metrics.RETENTION_FAILURES):
                counter.labels(table.name).inc(0)

    def _show_success(self, table: MovableTable) -> None:
        metrics.RETENTION_SUCCESS_TIMESTAMP_SECONDS.labels(table.name).set(
            self._clock_us() / _SECOND_US
        )

    async def _show_oldest(self, table: MovableTable) -> None:
        oldest_us = await self._archiver.fetch_oldest_us(table)
        if oldest_us is not None:
            metrics.RETENTION_OLDEST_TIMESTAMP_SECONDS.labels(table.name).set(
                oldest_us / _SECOND_US
            )
