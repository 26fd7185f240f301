"""Rows that wait for a worker, by version, within bounds. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from engine.errors import ResourceExhaustedError
from engine.serving.rows import Row, VersionKey, VersionRows

_RETRY_AFTER_S = 0.1
_LOOK_AGAIN_S = 0.05
"""To look through all that wait takes a millisecond: under a rush not for each who is refused."""
_ALONE_AFTER = 2
"""Attempts after which a row is scored alone: one that kills workers takes no others with it."""


class _Queue:
    """Rows of one version."""

    __slots__ = ("alone", "of", "together")

    def __init__(self, of: VersionRows) -> None:
        self.of = of
        self.together: deque[Row] = deque()
        self.alone: deque[Row] = deque()

    def oldest_s(self) -> float | None:
        """Return since when the foremost row waits; settled ones are dropped on the way."""
        heads = []
        for rows in (self.together, self.alone):
            while rows and rows[0].is_settled:
                rows.popleft()
            if rows:
                heads.append(rows[0].queued_s)
        return min(heads, default=None)


class RowQueues:
    """All that waits."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._queues: dict[VersionKey, _Queue] = {}
        self._looked_s = -math.inf

    @property
    def rows(self) -> int:
        """How many rows wait, those included whose callers have left."""
        return sum(len(one.together) + len(one.alone) for one in self._queues.values())

    def add(self, of: VersionRows, rows: Sequence[Row], now_s: float) -> None:
        """Queue rows.

        Raises:
          ResourceExhaustedError: too many wait already, those included whose callers have left in
            the last moment; none was queued.
        """
        waiting = self.rows
        if waiting + len(rows) > self._most_rows and now_s >= self._looked_s + _LOOK_AGAIN_S:
            self._looked_s = now_s
            self._drop_settled()
            waiting = self.rows
        if waiting + len(rows) > self._most_rows and waiting:
            raise ResourceExhaustedError(
                f"{waiting} rows wait to be scored; at most {self._most_rows} may", _RETRY_AFTER_S
            )
        self._queue(of).together.extend(rows)

    def put_back(self, of: VersionRows, rows: Sequence[Row]) -> None:
        """Queue rows again, before the others."""
        queue = self._queue(of)
        queue.alone.extend(row for row in rows if row.attempts >= _ALONE_AFTER)
        queue.together.extendleft(row for row in reversed(rows) if row.attempts < _ALONE_AFTER)

    def waits(self, key: VersionKey) -> bool:
        """Return whether rows of a version wait."""
        queue = self._queues.get(key)
        return queue is not None and queue.oldest_s() is not None

    def take(
        self, allows: Callable[[VersionKey], bool], most: int
    ) -> tuple[VersionRows, list[Row]] | None:
        """Take up to `most` rows of the version that has waited longest; None if there are none.

        Args:
          allows: tells whether rows of a version may be taken.
        """
        waiting = [
            (oldest_s, key)
            for key, queue in [*self._queues.items()]
            if (oldest_s := queue.oldest_s()) is not None and allows(key)
        ]
        if not waiting:
            return None
        _, key = min(waiting)
        queue = self._queues[key]
        if queue.alone:
            return queue.of, [queue.alone.popleft()]
        rows: list[Row] = []
        while queue.together and len(rows) < most:
            row = queue.together.popleft()
            if not row.is_settled:
                rows.append(row)
        return queue.of, rows

    def take_all(self, key: VersionKey) -> list[Row]:
        """Take all rows of a version."""
        queue = self._queues.pop(key, None)
        return [] if queue is None else [*queue.alone, *queue.together]

    def take_older(self, than_s: float) -> list[Row]:
        """Take the rows that were queued before a time."""
        late: list[Row] = []
        for queue in self._queues.values():
            for rows in (queue.alone, queue.together):
                while rows and rows[0].queued_s < than_s:
                    late.append(rows.popleft())
        return late

    def drop_empty(self, kept: Iterable[VersionKey]) -> None:
        """Forget versions that nothing waits for, but for those named."""
        for key in self._queues.keys() - set(kept):
            if not self.waits(key):
                del self._queues[key]

    def _drop_settled(self) -> None:
        for queue in self._queues.values():
            for rows in (queue.alone, queue.together):
                kept = [row for row in rows if not row.is_settled]
                rows.clear()
                rows.extend(kept)

    def _queue(self, of: VersionRows) -> _Queue:
        queue = self._queues.get(of.key)
        if queue is None:
            queue = self._queues[of.key] = _Queue(of)
        return queue
