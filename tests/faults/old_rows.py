"""A data file full of old rows, which the engine moves to archives all the time that it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import duckdb
import trio

from engine.clock import read_clock_us
from engine.records import WriteRequest
from engine.store import StoreSettings, open_store
from tests.faults import restless_engine
from tests.faults.moved_rows import MOVED_TABLES, find_misplaced, reading
from tests.faults.registry import Facility, Installed, Site
from tests.support.retention_world import DAY_US, make_events, make_predictions

_EVENTS: Final = 150_000
"""Of which those that features rest on stay, about every third."""
_PREDICTIONS: Final = 40_000
_A_COMMIT: Final = 5_000
_AGE_DAYS: Final = 800
_SPACING_US: Final = 200_000_000
"""Between two rows: with all of them the newest is more than a year old."""


@attrs.frozen
class OldRows:
    """What was there before the engine was first started.

    Attributes:
      folder: with a Parquet file of each table.
    """

    folder: Path

    def rows_of(self, table: str) -> Path:
        return self.folder / f"old-{table}.parquet"

    def find_misplaced(self, data_dir: Path) -> list[str]:
        """Return which rows are not in the file or in an archive, once. No engine is running."""
        try:
            with reading(data_dir) as connection:
                return [
                    text
                    for table in MOVED_TABLES
                    for text in find_misplaced(connection, table, self.rows_of(table))
                ]
        except (FileNotFoundError, ValueError) as error:
            return [f"an archive that counts is not whole: {error}"]


@attrs.frozen
class OldRowsFacility:
    """Fills the data file before the engine starts."""

    name: str = "old_rows"

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        data_dir = site.folder / "data"
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        old = OldRows(site.folder)
        await _fill(data_dir / "trellis.duckdb")
        await trio.to_thread.run_sync(_note, data_dir / "trellis.duckdb", old)
        yield Installed(
            old,
            settings=("retention.events_days=275", "retention.predictions_days=1"),
            program=Path(restless_engine.__file__),
            audits=(old.find_misplaced,),
        )


async def _fill(file: Path) -> None:
    first_us = read_clock_us() // DAY_US * DAY_US - _AGE_DAYS * DAY_US
    async with open_store(StoreSettings(path=file)) as store:
        for first in range(0, _EVENTS, _A_COMMIT):
            times_us = [first_us + place * _SPACING_US for place in range(first, first + _A_COMMIT)]
            await store.writer.submit(WriteRequest((make_events(times_us, first_offset=first),)))
        for first in range(0, _PREDICTIONS, _A_COMMIT):
            times_us = [first_us + place * _SPACING_US for place in range(first, first + _A_COMMIT)]
            await store.writer.submit(WriteRequest((make_predictions(times_us, first=first),)))


def _note(file: Path, old: OldRows) -> None:
    with duckdb.connect(str(file), read_only=True) as connection:
        for table in MOVED_TABLES:
            connection.execute(f"COPY {table} TO '{old.rows_of(table)}' (FORMAT parquet)")


FACILITIES: tuple[Facility, ...] = (OldRowsFacility(),)
