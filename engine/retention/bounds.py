"""Up to when rows are moved, in what portions, and when a failure is followed by another try."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

_DAY_US: Final = 86_400_000_000


def compute_until_us(now_us: int, days: int) -> int:
    """Return the bound before which rows are moved: a midnight, in microseconds since 1970, UTC.

    Whole days are moved at once, since an archive an hour would be many small ones; a row stays
    for up to a day longer than `days`.
    """
    return (now_us // _DAY_US - days) * _DAY_US


def cut_steps(
    weights: npt.NDArray[np.int64], most_rows: int, most_bytes: int
) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each portion, in order.

    Args:
      weights: the bytes of each row.
      most_rows: at most so many rows in a portion.
      most_bytes: of at most this weight together, unless one row alone has more.
    """
    ends = np.cumsum(weights)
    first = 0
    while first < len(weights):
        before = int(ends[first - 1]) if first else 0
        by_weight = int(np.searchsorted(ends, before + most_bytes, side="right"))
        end = max(first + 1, min(by_weight, first + most_rows, len(weights)))
        yield first, end - first
        first = end


def compute_delay_s(failures: int, first_s: float, longest_s: float) -> float:
    """Return how long to wait after the last of so many failures in a row; at least one."""
    return min(first_s * 2.0 ** min(failures - 1, 30), longest_s)
