"""One entity in memory: a log of packed events, the tiles they are folded into, uploaded values.

Everything here gives the exact answer or none. An answer is given up when events that it needs
have been dropped, or when a tile that it needs holds events later than the time asked for.
"""

# A comparison costs a third of a call to max(), and these run once an event.
# ruff: noqa: PLR1730

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import attrs

from engine.features.accumulators import (
    AFTER_ALL,
    BEFORE_ALL,
    AnyAccumulator,
    Count,
    Distinct,
    First,
    Last,
    Position,
    Total,
)
from engine.features.eventlog import RECORD
from engine.features.keeping import KeepingPlan, SelectionReads, SeriesRead
from engine.features.selection import Selection
from engine.features.series import ALL_TIME_TILE
from engine.features.summaries import Summaries
from engine.features.uploaded import UploadedRow
from engine.features.values import NO_CELL, Cell, FeatureValue

ENTITY_BYTES = 500
"""An entity without events: the object, its log's header, its place in the table."""

# Measured with tracemalloc on CPython 3.11, with the tile's place in its dict.
_TILE_BYTES: dict[type[AnyAccumulator], int] = {
    Count: 170,
    Total: 250,
    First: 330,
    Last: 330,
    Distinct: 280,
}
_DISTINCT_ITEM_BYTES = 130
_UPLOAD_BYTES = 300
_UPLOADED_VALUE_BYTES = 60
_ROW_BYTES = 120


@attrs.frozen
class KeptRow:
    """A computed row and how long it holds unless something is committed."""

    selection: Selection
    cells: list[Cell]
    values: list[FeatureValue]
    output: tuple[FeatureValue, ...]
    since_us: int
    until_us: float
    """First time at which it no longer holds."""


class Entity:
    """The state of one entity. Methods take the plan, which is the same for all.

    Attributes:
      log: packed events that are not folded yet.
      pending_us: the oldest event time in `log`.
      first_us: the oldest event time ever; AFTER_ALL when there was no event.
      tiles: for each series, accumulators by tile number; None until something was folded.
      lost_us: for each series, the newest event time that was dropped from it.
      loaded_since_us: windowed series may lack events before this time.
      summed_seq: events up to this commit are in the all-time tiles already.
      summary: those all-time tiles, while they are still a row of a table.
      uploads: event time and decoded row by dataset.
      row: the last row computed, while nothing new has been committed.
      used: whether it was read since eviction last came by.
    """

    __slots__ = (
        "first_us",
        "loaded_since_us",
        "log",
        "lost_us",
        "pending_us",
        "row",
        "size_bytes",
        "summary",
        "summed_seq",
        "tiles",
        "uploads",
        "used",
    )

    def __init__(self) -> None:
        self.log = bytearray()
        self.pending_us: int = AFTER_ALL
        self.first_us: int = AFTER_ALL
        self.tiles: list[dict[int, AnyAccumulator]] | None = None
        self.lost_us: list[int] | None = None
        self.loaded_since_us: int = BEFORE_ALL
        self.summed_seq = 0
        self.summary: tuple[Summaries, int] | None = None
        self.uploads: dict[str, tuple[int, UploadedRow]] | None = None
        self.row: KeptRow | None = None
        self.used = False
        self.size_bytes = ENTITY_BYTES

    def append(self, records: bytes | bytearray, first_us: int) -> None:
        """Take in packed events, the oldest of them at `first_us`."""
        self.log += records
        self.size_bytes += len(records)
        if first_us < self.pending_us:
            self.pending_us = first_us
            if first_us < self.first_us:
                self.first_us = first_us
        self.row = None

    def set_upload(self, dataset: str, event_time_us: int, row: UploadedRow) -> None:
        """Take in an uploaded row; calls come in commit order, so among equal times it wins."""
        if self.uploads is None:
            self.uploads = {}
        known = self.uploads.get(dataset)
        if known is None or event_time_us >= known[0]:
            self.uploads[dataset] = (event_time_us, row)
            self.row = None

    def absorb(self, later: Entity) -> None:
        """Take over the log and the uploads of the same entity from commits after this state's."""
        if later.log:
            self.append(later.log, later.pending_us)
        for dataset, (event_time_us, row) in (later.uploads or {}).items():
            self.set_upload(dataset, event_time_us, row)

    def prepare_tiles(self, plan: KeepingPlan) -> list[dict[int, AnyAccumulator]]:
        """Return the tiles, making them the first time."""
        if self.tiles is None:
            self.tiles = [{} for _ in plan.series]
            self.lost_us = [BEFORE_ALL] * len(plan.series)
            if self.summary is not None:
                summaries, row = self.summary
                for number, accumulator in summaries.restore(row):
                    self.tiles[number][ALL_TIME_TILE] = accumulator
                self.summary = None
        return self.tiles

    def fold(self, plan: KeepingPlan, *, up_to_us: int, now_us: int) -> None:
        """Pour the log's events up to a time into tiles and drop what no window needs any more."""
        tiles = self.prepare_tiles(plan)
        lost_us = self.lost_us
        assert lost_us is not None
        names = plan.codes.names
        oldest_tiles = [plan.oldest_tile(index, now_us) for index in range(len(tiles))]
        summed_seq = self.summed_seq
        later = bytearray()
        later_us = AFTER_ALL
        for time_us, seq, offset, value, partition, code in RECORD.iter_unpack(self.log):
            if time_us > up_to_us:
                later += RECORD.pack(time_us, seq, offset, value, partition, code)
                later_us = min(later_us, time_us)
                continue
            position: Position = (time_us, seq, partition, offset)
            # NaN, which stands for NULL, is the one value that differs from itself.
            for index, tile_us, column, family in plan.targets(code, has_value=value == value):  # noqa: PLR0124
                if tile_us is None:
                    if seq <= summed_seq:
                        continue
                    number = ALL_TIME_TILE
                else:
                    number = time_us // tile_us
                    if number < oldest_tiles[index]:
                        lost_us[index] = max(lost_us[index], time_us)
                        continue
                tile = tiles[index].get(number)
                if tile is None:
                    tile = tiles[index][number] = family()
                if column is None:
                    tile.add(position, None)
                else:
                    tile.add(position, value if column == "value" else names[code])
        self.log = later
        self.pending_us = later_us
        self._prune(plan, oldest_tiles)

    def _prune(self, plan: KeepingPlan, oldest_tiles: list[int]) -> None:
        assert self.tiles is not None
        assert self.lost_us is not None
        for index, tiles in enumerate(self.tiles):
            if len(tiles) > plan.tiles_at_most(index):
                for number in [n for n in tiles if n < oldest_tiles[index]]:
                    self.lost_us[index] = max(self.lost_us[index], tiles.pop(number).newest_us)

    def measure(self, plan: KeepingPlan) -> int:
        """Estimate the memory this takes, remember it, and return by how much it grew."""
        size = ENTITY_BYTES + len(self.log)
        if self.tiles is not None:
            for series, tiles in zip(plan.series, self.tiles, strict=True):
                size += 64 + _TILE_BYTES[series.family] * len(tiles)
                if series.family is Distinct:
                    items = sum(
                        len(tile.items) for tile in cast(Iterable[Distinct], tiles.values())
                    )
                    size += _DISTINCT_ITEM_BYTES * items
        if self.uploads is not None:
            size += sum(
                _UPLOAD_BYTES + _UPLOADED_VALUE_BYTES * len(row) for _, row in self.uploads.values()
            )
        if self.row is not None:
            size += _ROW_BYTES * len(self.row.values)
        grown = size - self.size_bytes
        self.size_bytes = size
        return grown

    def read(
        self, plan: KeepingPlan, reads: SelectionReads, as_of_us: int
    ) -> tuple[list[Cell], float] | None:
        """Compute the cells of a selection at a time up to which the log is folded.

        Returns: the cells and the first time at which they may differ, or None when memory does
          not hold the exact answer.
        """
        if self.pending_us <= as_of_us:
            return None
        if self.summary is not None:
            self.prepare_tiles(plan)
        cells: list[Cell] = [NO_CELL] * reads.slots
        until_us: float = self.pending_us
        if self.first_us > as_of_us:
            until_us = self.first_us
        else:
            for read in reads.events:
                merged = self._merge(read, as_of_us)
                if merged is None:
                    return None
                summary, expires_us = merged
                for slot, finish in read.cells:
                    cells[slot] = finish(summary)
                if expires_us < until_us:
                    until_us = expires_us
        for slot, dataset, position in reads.uploads:
            known = None if self.uploads is None else self.uploads.get(dataset)
            if known is not None:
                event_time_us, row = known
                if event_time_us > as_of_us:
                    return None
                value = row[position]
                cells[slot] = NO_CELL if value is None else (value, event_time_us)
        return cells, until_us

    def _merge(self, read: SeriesRead, as_of_us: int) -> tuple[AnyAccumulator, float] | None:
        """Return a window's summary and the first time at which it may differ, if it is exact."""
        tiles = {} if self.tiles is None else self.tiles[read.series]
        if read.window_us is None or read.tile_us is None:
            whole = tiles.get(ALL_TIME_TILE)
            if whole is None:
                return read.empty, AFTER_ALL
            return None if whole.newest_us > as_of_us else (whole, AFTER_ALL)
        tile_us = read.tile_us
        first = (as_of_us - read.window_us) // tile_us
        last = as_of_us // tile_us
        start_us = first * tile_us
        if start_us < self.loaded_since_us:
            return None
        if self.lost_us is not None and start_us <= self.lost_us[read.series]:
            return None
        head = tiles.get(last)
        if head is not None and head.newest_us > as_of_us:
            return None
        inside = [number for number in tiles if first <= number <= last]
        if not inside:
            summary, expires_us = read.empty, AFTER_ALL
        else:
            summary = read.merge([tiles[number] for number in inside])
            expires_us = (min(inside) + 1) * tile_us + read.window_us
        if tiles and max(tiles) > last:
            # Later events are known, so this answer is about the past only.
            expires_us = as_of_us + 1
        return summary, expires_us
