"""How many rows a training would be fitted on, told before one is started. Pure."""

import numpy as np
from numpy.typing import NDArray

from engine.config import SplitSpec


def count_rows_to_fit(times_us: NDArray[np.int64], split: SplitSpec, within_s: float) -> int:
    """Return how many rows are left to fit on once those to judge by are taken out.

    Args:
      times_us: of the observations, in any order.
      within_s: how far after an observation its label reaches.
    """
    count = len(times_us)
    kept = int(count * (1 - split.test_share))
    if split.by != "time" or not count:
        return kept  # about: of how many rows an entity has, the split knows nothing
    # As the training's own split: the latest moments are held out, with a gap before them.
    begin_us = np.partition(times_us, kept)[kept]
    gap_us = max(1, round(within_s * 1_000_000))
    return int(np.count_nonzero(times_us <= begin_us - gap_us))
