"""What a tile remembers of its events: pure, mergeable, independent of the order of adding.

One class a family of aggregates. `add` takes one event: its position, and the value or action that
is summed up (None for `Count`, never otherwise). `merge` makes one accumulator of several tiles'.
`newest_us` is the time of the newest event that was added.
"""

# A comparison costs a third of a call to max(), and these run once an event or a tile.
# ruff: noqa: PLR1730

from __future__ import annotations

import operator
from collections.abc import Sequence

from engine.features.exact import to_micros

Position = tuple[int, int, int, int]
"""An event's place among all events: (event_time, commit_seq, partition, offset)."""

BEFORE_ALL = -(2**63)
"""Older than any event."""

AFTER_ALL = 2**63
"""Later than any event."""

NOWHERE_BEFORE: Position = (BEFORE_ALL, 0, 0, 0)
NOWHERE_AFTER: Position = (AFTER_ALL, 0, 0, 0)


class Count:
    """How many."""

    __slots__ = ("n", "newest_us")

    def __init__(self, n: int = 0, newest_us: int = BEFORE_ALL) -> None:
        self.n = n
        self.newest_us = newest_us

    def add(self, position: Position, item: float | str | None) -> None:
        self.n += 1
        if position[0] > self.newest_us:
            self.newest_us = position[0]

    @classmethod
    def merge(cls, tiles: Sequence[Count]) -> Count:
        merged = cls()
        for tile in tiles:
            merged.n += tile.n
            if tile.newest_us > merged.newest_us:
                merged.newest_us = tile.newest_us
        return merged


class Total:
    """How many values, their exact sum, least and greatest."""

    __slots__ = ("high", "low", "micros", "n", "newest_us")

    def __init__(
        self,
        n: int = 0,
        micros: int = 0,
        low: float = float("inf"),
        high: float = float("-inf"),
        newest_us: int = BEFORE_ALL,
    ) -> None:
        self.n = n
        self.micros = micros
        self.low = low
        self.high = high
        self.newest_us = newest_us

    def add(self, position: Position, item: float | str | None) -> None:
        assert isinstance(item, float)
        self.n += 1
        self.micros += to_micros(item)
        if item < self.low:
            self.low = item
        if item > self.high:
            self.high = item
        if position[0] > self.newest_us:
            self.newest_us = position[0]

    @classmethod
    def merge(cls, tiles: Sequence[Total]) -> Total:
        merged = cls()
        for tile in tiles:
            merged.n += tile.n
            merged.micros += tile.micros
            if tile.low < merged.low:
                merged.low = tile.low
            if tile.high > merged.high:
                merged.high = tile.high
            if tile.newest_us > merged.newest_us:
                merged.newest_us = tile.newest_us
        return merged


class Last:
    """The item of the event that comes last."""

    __slots__ = ("item", "position")

    def __init__(
        self, position: Position = NOWHERE_BEFORE, item: float | str | None = None
    ) -> None:
        self.position = position
        self.item = item

    @property
    def newest_us(self) -> int:
        return self.position[0]

    def add(self, position: Position, item: float | str | None) -> None:
        if position > self.position:
            self.position = position
            self.item = item

    @classmethod
    def merge(cls, tiles: Sequence[Last]) -> Last:
        latest = max(tiles, key=_position, default=cls())
        return cls(latest.position, latest.item)


class First:
    """The item of the event that comes first."""

    __slots__ = ("item", "newest_us", "position")

    def __init__(
        self,
        position: Position = NOWHERE_AFTER,
        item: float | str | None = None,
        newest_us: int = BEFORE_ALL,
    ) -> None:
        self.position = position
        self.item = item
        self.newest_us = newest_us

    def add(self, position: Position, item: float | str | None) -> None:
        if position < self.position:
            self.position = position
            self.item = item
        if position[0] > self.newest_us:
            self.newest_us = position[0]

    @classmethod
    def merge(cls, tiles: Sequence[First]) -> First:
        earliest = min(tiles, key=_position, default=cls())
        newest_us = max((tile.newest_us for tile in tiles), default=BEFORE_ALL)
        return cls(earliest.position, earliest.item, newest_us)


_position = operator.attrgetter("position")


class Distinct:
    """Which items."""

    __slots__ = ("items", "newest_us")

    def __init__(self, items: set[float | str] | None = None, newest_us: int = BEFORE_ALL) -> None:
        self.items: set[float | str] = set() if items is None else items
        self.newest_us = newest_us

    def add(self, position: Position, item: float | str | None) -> None:
        assert item is not None
        self.items.add(item)
        if position[0] > self.newest_us:
            self.newest_us = position[0]

    @classmethod
    def merge(cls, tiles: Sequence[Distinct]) -> Distinct:
        return cls(
            set().union(*(tile.items for tile in tiles)),
            max((tile.newest_us for tile in tiles), default=BEFORE_ALL),
        )


AnyAccumulator = Count | Total | First | Last | Distinct
