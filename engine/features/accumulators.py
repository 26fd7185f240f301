"""What a tile remembers of its events: pure, mergeable, independent of the order of adding.

One class a family of aggregates. `add` takes one event, `merge` makes one accumulator of several
tiles'. `newest_us` is the time of the newest event that was added.
"""

# A comparison costs a third of a call to max(), and these run once an event or a tile.
# ruff: noqa: PLR1730

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from engine.features.exact import to_micros

Position = tuple[int, int, int, int]
"""An event's place among all events: (event_time, commit_seq, partition, offset)."""

BEFORE_ALL = -(2**63)
"""Older than any event."""


class Accumulator(Protocol):
    """The summary of a set of events."""

    newest_us: int

    def add(self, position: Position, item: float | str | None) -> None:
        """Take in one event. `item` is its value or action; None for `Count`, never otherwise."""

    @property
    def size_bytes(self) -> int:
        """Roughly the memory this takes."""


class Count:
    """How many."""

    __slots__ = ("n", "newest_us")

    size_bytes: ClassVar[int] = 80

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

    size_bytes: ClassVar[int] = 200

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


class Ends:
    """The first and the last item, and where they stand."""

    __slots__ = ("first", "first_position", "last", "last_position")

    size_bytes: ClassVar[int] = 480

    def __init__(self) -> None:
        self.first: float | str | None = None
        self.first_position: Position | None = None
        self.last: float | str | None = None
        self.last_position: Position | None = None

    @property
    def newest_us(self) -> int:
        return BEFORE_ALL if self.last_position is None else self.last_position[0]

    def add(self, position: Position, item: float | str | None) -> None:
        self.offer_first(position, item)
        self.offer_last(position, item)

    def offer_first(self, position: Position | None, item: float | str | None) -> None:
        """Take the item as the first if it stands before the present one."""
        if position is not None and (self.first_position is None or position < self.first_position):
            self.first_position = position
            self.first = item

    def offer_last(self, position: Position | None, item: float | str | None) -> None:
        """Take the item as the last if it stands after the present one."""
        if position is not None and (self.last_position is None or position > self.last_position):
            self.last_position = position
            self.last = item

    @classmethod
    def merge(cls, tiles: Sequence[Ends]) -> Ends:
        merged = cls()
        for tile in tiles:
            merged.offer_first(tile.first_position, tile.first)
            merged.offer_last(tile.last_position, tile.last)
        return merged


class Distinct:
    """Which items."""

    __slots__ = ("items", "newest_us")

    def __init__(self, items: set[float | str] | None = None, newest_us: int = BEFORE_ALL) -> None:
        self.items: set[float | str] = set() if items is None else items
        self.newest_us = newest_us

    @property
    def size_bytes(self) -> int:
        return 300 + 90 * len(self.items)

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


AnyAccumulator = Count | Total | Ends | Distinct
