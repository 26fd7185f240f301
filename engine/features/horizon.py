"""The horizon: the time before which events may have left the data file.

Features are what they were as long as nobody asks behind it. What a feature without a window needs
has stayed (see `resting`); a window that begins before the horizon may be half empty, and so is not
read at all.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from engine.clock import to_datetime, to_us
from engine.errors import FailedPreconditionError
from engine.features.definitions import BaseFeature, EventFeature, Feature
from engine.features.resting import KeptRules, rests_on_all
from engine.features.source import HistoryReader
from engine.features.values import Cell
from engine.records import Commit, Upsert
from engine.store.queries import load_queries

_QUERIES: Final = load_queries("engine.features")

_ZERO_OVER_NONE: Final = {"count", "sum", "distinct_count"}
"""Aggregates that are zero over no events of an entity that is known, and missing if it is not."""


class Horizon:
    """How far back events are complete. Used from the Trio thread.

    It moves with the plan of a move, which is committed before anything is deleted. So whoever asks
    after a query whether it has moved past what the query read learns of every deletion that the
    query may have seen. A plan that comes to nothing leaves it too late by at most what is due to
    be moved anyway.

    Attributes:
      time_us: events before it may have been moved, microseconds UTC.
      commit_seq: those up to this commit; 0 while nothing has been moved.
    """

    def __init__(self, time_us: int = 0, commit_seq: int = 0) -> None:
        self.time_us = time_us
        self.commit_seq = commit_seq

    @property
    def complete_since_us(self) -> int | None:
        """Since when events are complete; None while they all are."""
        return self.time_us if self.commit_seq else None

    async def load(self, reader: HistoryReader) -> None:
        """Take up what the data file says. Raises StoreError."""
        for time_us, commit_seq in await reader.fetch_rows(_QUERIES["horizon"]):
            self._advance(time_us, commit_seq)

    def note_commit(self, commit: Commit) -> None:
        """Take notice of a move. A commit listener."""
        for request in commit.requests:
            for operation in request.operations:
                if isinstance(operation, Upsert) and operation.table == "archives":
                    for values in operation.rows:
                        row = dict(zip(operation.columns, values, strict=True))
                        # What is said of a step later on does not name its bound again.
                        if row.get("table_name") == "events":
                            until: datetime = row["until_time"]
                            self._advance(to_us(until), row["last_commit_seq"])

    def describe(self) -> str:
        """Return the time as text."""
        return _text(self.time_us)

    def earliest_us(self, features: Iterable[Feature], look_back_us: int | None = None) -> int:
        """Return since when reads of features are complete, microseconds UTC.

        Args:
          features: those that are read; of a formula, what it is made of.
          look_back_us: how far before that the reader looks at events himself; None: not at all.
        Returns: 0 if there is no bound.
        """
        if not self.commit_seq:
            return 0
        bounds_us = [self._earliest_of(one) for one in features if isinstance(one, EventFeature)]
        if look_back_us is not None:
            bounds_us.append(self.time_us + look_back_us)
        return max(0, *bounds_us) if bounds_us else 0

    def check(self, features: Iterable[Feature], as_of_us: int, commit_seq: int) -> None:
        """Check that nothing has been moved that a read of the data file needs.

        Raises:
          FailedPreconditionError: it reaches behind the horizon; the message says which time does
            not.
        """
        events = [one for one in features if isinstance(one, EventFeature)]
        if not self.commit_seq or not events:
            return
        earliest_us = max(map(self._earliest_of, events))
        if as_of_us >= earliest_us and commit_seq >= self.commit_seq:
            return
        moved = (
            f"events before {_text(self.time_us)}, of commits up to {self.commit_seq}, have been "
            "moved to the blob store"
        )
        if as_of_us < earliest_us:
            names = ", ".join(sorted(f.name for f in events if self._earliest_of(f) > as_of_us))
            raise FailedPreconditionError(
                f"{moved}, and as of {_text(as_of_us)} {names} would rest on them; the earliest "
                f"time that can be asked for is {_text(earliest_us)}; `main.py history` reads what "
                "was moved"
            )
        raise FailedPreconditionError(
            f"{moved}, so what was known at commit {commit_seq} cannot be told any more; ask for "
            f"commit {self.commit_seq} or later; `main.py history` reads what was moved"
        )

    def find_lost(
        self, base: Sequence[BaseFeature], cells: Sequence[Cell], as_of_us: int, commit_seq: int
    ) -> set[str]:
        """Return the features of which what is left does not tell the value any more.

        It may tell it of some behind the horizon, too: where nothing of the window has moved, and
        of those that every event stays for.

        Args:
          base: those that were read.
          cells: what the data file has of each.
        """
        if not self.commit_seq:
            return set()
        is_known_here = as_of_us >= self.time_us and commit_seq >= self.commit_seq

        def is_lost(feature: EventFeature, cell: Cell) -> bool:
            start_us = feature.window_start_us(as_of_us)
            has_all = rests_on_all(feature) if start_us is None else start_us >= self.time_us
            if not has_all:
                return start_us is not None or not is_known_here
            # Whether there had been any event of the entity is told by one that may have moved.
            return cell[0] is None and feature.aggregate in _ZERO_OVER_NONE and not is_known_here

        return {
            feature.name
            for feature, cell in zip(base, cells, strict=True)
            if isinstance(feature, EventFeature) and is_lost(feature, cell)
        }

    def _earliest_of(self, feature: EventFeature) -> int:
        """Return the first time at which the window begins at or after the horizon."""
        if feature.window_us is None or feature.tile_us is None:
            return self.time_us
        return -(-self.time_us // feature.tile_us) * feature.tile_us + feature.window_us

    def _advance(self, time_us: int, commit_seq: int) -> None:
        self.time_us = max(self.time_us, time_us) if self.commit_seq else time_us
        self.commit_seq = max(self.commit_seq, commit_seq)


async def fetch_kept_rules(reader: HistoryReader) -> list[KeptRules]:
    """Return what had to stay when events were moved, of each archive. Raises StoreError."""
    return [json.loads(kept) for (kept,) in await reader.fetch_rows(_QUERIES["kept_rules"])]


def _text(time_us: int) -> str:
    return f"{to_datetime(time_us).isoformat()}Z"
