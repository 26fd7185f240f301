"""Rows of big uploads that were committed and are not with their entities yet."""

from collections import deque

import attrs
import numpy as np
from numpy.typing import NDArray

from engine.records import LatestRows

LateRow = tuple[str, int, str | None]
"""Dataset, event time in microseconds, fields."""

ROW_BYTES = 120
"""A row's key, its time and some 100 characters of text."""


class _Upload:
    """The rows of one upload, of which some have been taken."""

    def __init__(self, latest: LatestRows) -> None:
        keys, times, self._fields = latest.rows.columns
        self._dataset = latest.dataset
        self._keys: NDArray[np.int64] = keys.to_numpy()
        self._times: NDArray[np.int64] = times.to_numpy()
        self._taken = np.zeros(len(keys), dtype=np.bool_)
        self._first = 0
        """All rows before this one have been taken."""

    def take(self, key: int) -> LateRow | None:
        at = int(self._keys.searchsorted(key))
        if at == len(self._keys) or self._keys[at] != key or self._taken[at]:
            return None
        self._taken[at] = True
        return self._dataset, int(self._times[at]), self._fields[at].as_py()

    def find_first(self) -> int | None:
        """Return the first key whose row has not been taken."""
        while self._first < len(self._keys):
            if not self._taken[self._first]:
                return int(self._keys[self._first])
            self._first += 1
        return None


@attrs.define(eq=False)
class Latecomers:
    """Rows by entity, upload after upload in commit order. Taking in an upload costs no copy.

    A row leaves when it is taken; whoever needs an entity takes all of its rows first.
    """

    _uploads: deque[_Upload] = attrs.field(factory=deque)

    def __bool__(self) -> bool:
        return bool(self._uploads)

    def add(self, latest: LatestRows) -> int:
        """Take in an upload's rows; return the estimate of their size in bytes."""
        self._uploads.append(_Upload(latest))
        return ROW_BYTES * int(latest.rows.num_rows)

    def take(self, key: int) -> list[LateRow]:
        """Remove an entity's rows and return them in commit order."""
        return [row for upload in self._uploads if (row := upload.take(key)) is not None]

    def take_any(self) -> tuple[int, list[LateRow]] | None:
        """Remove all rows of some entity and return them with its key; None if none are left."""
        while self._uploads:
            key = self._uploads[0].find_first()
            if key is not None:
                return key, self.take(key)
            self._uploads.popleft()
        return None

    def clear(self) -> None:
        """Forget all rows."""
        self._uploads.clear()
