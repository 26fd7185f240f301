"""Rows of big uploads that were committed and are not with their entities yet."""

from collections import deque

import attrs

from engine.records import LatestRows

LateRow = tuple[str, int, str | None]
"""Dataset, event time in microseconds, fields."""

ROW_BYTES = 400
"""A row's place in the table, its tuple, its time and some 100 characters of text."""


@attrs.define(eq=False)
class Latecomers:
    """Rows by entity, upload after upload in commit order. Taking in an upload costs no copy.

    A row leaves when it is taken; whoever needs an entity takes all of its rows first.
    """

    _uploads: deque[LatestRows] = attrs.field(factory=deque)

    def __bool__(self) -> bool:
        return bool(self._uploads)

    def add(self, latest: LatestRows) -> int:
        """Take in an upload's rows; return the estimate of their size in bytes."""
        self._uploads.append(latest)
        return ROW_BYTES * len(latest.rows)

    def take(self, key: int) -> list[LateRow]:
        """Remove an entity's rows and return them in commit order."""
        rows = []
        for latest in self._uploads:
            row = latest.rows.pop(key, None)
            if row is not None:
                rows.append((latest.dataset, *row))
        return rows

    def take_any(self) -> tuple[int, list[LateRow]] | None:
        """Remove all rows of some entity and return them with its key; None if none are left."""
        while self._uploads and not self._uploads[0].rows:
            self._uploads.popleft()
        if not self._uploads:
            return None
        # From the end: looking for the first item of a dict passes over all that were removed.
        oldest = self._uploads[0]
        key, row = oldest.rows.popitem()
        return key, [(oldest.dataset, *row), *self.take(key)]

    def clear(self) -> None:
        """Forget all rows."""
        self._uploads.clear()
