"""What the online store keeps of each event, and which of it a selection reads."""

from collections.abc import Callable

import attrs

from engine.features.accumulators import BEFORE_ALL, AnyAccumulator
from engine.features.definitions import EventFeature
from engine.features.eventlog import ActionCodes
from engine.features.selection import Selection
from engine.features.series import FINISH, Series
from engine.features.uploaded import UploadedColumns
from engine.features.values import Cell
from engine.features.views import FeatureSet

SLACK_US = 60_000_000
"""How far behind the clock a read may be and still find its whole window in memory. Reads at an
explicit past time are answered from history once tiles are gone; a minute covers clocks that differ
and callers that are slow."""


@attrs.frozen
class SeriesRead:
    """One window over one series, and the cells that follow from it."""

    series: int
    window_us: int | None
    tile_us: int | None
    merge: Callable[..., AnyAccumulator]
    empty: AnyAccumulator
    cells: tuple[tuple[int, Callable[..., Cell]], ...]
    """Slot of the base feature, and how its cell is made of the merged accumulator."""


@attrs.frozen
class SelectionReads:
    """All that has to be read to compute a selection's cells."""

    slots: int
    """How many cells there are."""
    events: tuple[SeriesRead, ...]
    uploads: tuple[tuple[int, str, int], ...]
    """Slot of the base feature, its dataset, and the value's position in a decoded row."""


_Target = tuple[int, int | None, str | None, type[AnyAccumulator]]
"""Index of a series, and its tile, column and family."""


class KeepingPlan:
    """Derived once from a feature set."""

    def __init__(self, feature_set: FeatureSet) -> None:
        self.series: tuple[Series, ...] = feature_set.series
        self.codes = ActionCodes(self.series)
        self.uploads = {part.dataset: part for part in UploadedColumns.of(feature_set.uploads)}
        self._windows_us = [0] * len(self.series)
        self._index = {series: index for index, series in enumerate(self.series)}
        for feature in feature_set.events:
            if feature.window_us is not None:
                index = self._index[Series.of(feature)]
                self._windows_us[index] = max(self._windows_us[index], feature.window_us)
        self._targets: dict[tuple[int, bool], tuple[_Target, ...]] = {}
        self._reads: dict[Selection, SelectionReads] = {}

    def targets(self, code: int, *, has_value: bool) -> tuple[_Target, ...]:
        """Return the series that take an event with this action code."""
        targets = self._targets.get((code, has_value))
        if targets is None:
            action = self.codes.names[code]
            targets = self._targets[code, has_value] = tuple(
                (index, series.tile_us, series.column, series.family)
                for index, series in enumerate(self.series)
                if series.takes(action, has_value=has_value)
            )
        return targets

    def oldest_kept_us(self, now_us: int) -> int:
        """Return the event time before which no window needs an event any more."""
        return min(
            (
                self.oldest_tile(index, now_us) * series.tile_us
                for index, series in enumerate(self.series)
                if series.tile_us is not None
            ),
            default=now_us,
        )

    def oldest_tile(self, index: int, now_us: int) -> int:
        """Return the number of the oldest tile of a series that is kept; very small if all are."""
        tile_us = self.series[index].tile_us
        if tile_us is None:
            return BEFORE_ALL
        return (now_us - SLACK_US - self._windows_us[index]) // tile_us

    def tiles_at_most(self, index: int) -> int:
        """Return how many tiles of a series can be needed at one time."""
        tile_us = self.series[index].tile_us
        return 1 if tile_us is None else (self._windows_us[index] + SLACK_US) // tile_us + 2

    def reads(self, selection: Selection) -> SelectionReads:
        """Return what a selection needs; computed once for each."""
        reads = self._reads.get(selection)
        if reads is None:
            reads = self._reads[selection] = self._plan_reads(selection)
        return reads

    def _plan_reads(self, selection: Selection) -> SelectionReads:
        windows: dict[tuple[int, int | None], list[tuple[int, Callable[..., Cell]]]] = {}
        uploads: list[tuple[int, str, int]] = []
        for slot, feature in enumerate(selection.base):
            if isinstance(feature, EventFeature):
                window = (self._index[Series.of(feature)], feature.window_us)
                windows.setdefault(window, []).append((slot, FINISH[feature.aggregate]))
            else:
                position = self.uploads[feature.dataset].position(feature)
                uploads.append((slot, feature.dataset, position))
        return SelectionReads(
            slots=len(selection.base),
            events=tuple(
                SeriesRead(
                    series=index,
                    window_us=window_us,
                    tile_us=self.series[index].tile_us,
                    merge=self.series[index].family.merge,
                    empty=self.series[index].family(),
                    cells=tuple(cells),
                )
                for (index, window_us), cells in windows.items()
            ),
            uploads=tuple(uploads),
        )
