"""Rows of big uploads that were committed and are not with their entities yet."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

import attrs

from engine.records import LatestRows

_ROW_BYTES = 400
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
        return _ROW_BYTES * len(latest.rows)

    def take(self, key: int) -> Iterator[tuple[str, int, str | None, int]]:
        """Remove an entity's rows in commit order: dataset, event time, fields, bytes freed."""
        for latest in self._uploads:
            row = latest.rows.pop(key, None)
            if row is not None:
                yield (latest.dataset, *row, _ROW_BYTES)

    def first_keys(self, most: int) -> list[int]:
        """Return some entities of the oldest upload that has rows left, none if none has."""
        while self._uploads and not self._uploads[0].rows:
            self._uploads.popleft()
        return list(islice(self._uploads[0].rows, most)) if self._uploads else []

    def clear(self) -> None:
        """Forget all rows."""
        self._uploads.clear()
