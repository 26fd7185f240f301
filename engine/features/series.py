"""Series: what the online store keeps, shared by the features that look at the same events.

Features with the same actions, column, kind of accumulator and tile size read one series, each
with its own window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from engine.features.accumulators import AnyAccumulator, Count, Distinct, First, Last, Total
from engine.features.exact import from_micros
from engine.features.values import NO_CELL, Cell

if TYPE_CHECKING:
    from engine.features.definitions import EventFeature

ALL_TIME_TILE = 0
"""The number of the only tile of a series without a window."""

_FAMILIES: dict[str, type[AnyAccumulator]] = {
    "count": Count,
    "seconds_since": Count,
    "sum": Total,
    "mean": Total,
    "min": Total,
    "max": Total,
    "first": First,
    "last": Last,
    "distinct_count": Distinct,
}


@attrs.frozen
class Series:
    """The events that some features look at, and how they are summed up."""

    actions: frozenset[str] | None
    """The actions that count; None for all."""
    column: str | None
    """The column whose non-null values are taken in; None for the event as such."""
    family: type[AnyAccumulator]
    tile_us: int | None
    """None: one tile for all time."""

    @classmethod
    def of(cls, feature: EventFeature) -> Series:
        """Return the series that the feature reads."""
        return cls(
            actions=feature.actions,
            column=feature.column,
            family=_FAMILIES[feature.aggregate],
            tile_us=feature.tile_us,
        )

    def takes(self, action: str, *, has_value: bool) -> bool:
        """Return whether an event of this action belongs to the series."""
        if self.column == "value" and not has_value:
            return False
        return self.actions is None or action in self.actions


def _count(summary: Count) -> Cell:
    return (summary.n, summary.newest_us) if summary.n else (0, None)


def _newest(summary: Count) -> Cell:
    return (summary.newest_us, summary.newest_us) if summary.n else NO_CELL


def _sum(summary: Total) -> Cell:
    return (from_micros(summary.micros), summary.newest_us) if summary.n else (0.0, None)


def _mean(summary: Total) -> Cell:
    if not summary.n:
        return NO_CELL
    return from_micros(summary.micros) / float(summary.n), summary.newest_us


def _min(summary: Total) -> Cell:
    return (summary.low, summary.newest_us) if summary.n else NO_CELL


def _max(summary: Total) -> Cell:
    return (summary.high, summary.newest_us) if summary.n else NO_CELL


def _first_or_last(summary: First | Last) -> Cell:
    return NO_CELL if summary.item is None else (summary.item, summary.position[0])


def _distinct_count(summary: Distinct) -> Cell:
    return (len(summary.items), summary.newest_us) if summary.items else (0, None)


FINISH: dict[str, Callable[..., Cell]] = {
    "count": _count,
    # The cell of seconds_since holds the newest event time: the seconds depend on the reader's.
    "seconds_since": _newest,
    "sum": _sum,
    "mean": _mean,
    "min": _min,
    "max": _max,
    "first": _first_or_last,
    "last": _first_or_last,
    "distinct_count": _distinct_count,
}
"""How an aggregate's cell follows from its series' merged accumulator."""
