"""Which rows are asked for."""

from typing import Final

import attrs

from engine.errors import InvalidArgumentError
from engine.history.tables import HistoryTable

FIRST_TIME_US: Final = 0
LAST_TIME_US: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999, after every row's time."""


@attrs.frozen
class HistoryQuery:
    """A question about a table's history; times in microseconds since 1970, UTC.

    Attributes:
      entity_key: only rows of this entity; None: of all.
      from_us: only rows of this time or later.
      until_us: only rows before this time.
      limit: at most so many, the oldest; None: all.
    """

    table: HistoryTable
    entity_key: int | None = None
    from_us: int = FIRST_TIME_US
    until_us: int = LAST_TIME_US
    limit: int | None = None

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
          InvalidArgumentError: the end is not after the beginning, or the limit is below 1.
        """
        if self.until_us <= self.from_us:
            raise InvalidArgumentError("until_time", "is not after from_time")
        if self.limit is not None and self.limit < 1:
            raise InvalidArgumentError("limit", f"{self.limit} is not a number of rows")


@attrs.frozen
class Selection:
    """The rows that a query means, as of a commit: later rows do not belong to it."""

    query: HistoryQuery
    commit_seq: int

    @property
    def table(self) -> HistoryTable:
        return self.query.table
