"""Whether probabilities mean what they say."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BINS: Final = 10


def describe_calibration(truth: NDArray[np.bool_], score: NDArray[np.float64]) -> dict[str, Any]:
    """Return a reliability diagram in numbers.

    Returns: `bins` of equal width, those with rows in them: bounds, rows, mean probability and the
      share that came true; `expected_error`, the mean distance of the two, by rows.
    """
    place = np.minimum((score * _BINS).astype(np.int64), _BINS - 1)
    rows = np.bincount(place, minlength=_BINS)
    filled = np.flatnonzero(rows)
    mean = np.bincount(place, score, minlength=_BINS)[filled] / rows[filled]
    share = np.bincount(place, truth, minlength=_BINS)[filled] / rows[filled]
    return {
        "bins": [
            {
                "from": bin_ / _BINS,
                "to": (bin_ + 1) / _BINS,
                "rows": int(rows[bin_]),
                "mean_probability": float(mean[number]),
                "share": float(share[number]),
            }
            for number, bin_ in enumerate(filled.tolist())
        ],
        "expected_error": float(rows[filled] @ np.abs(mean - share) / rows.sum()),
    }
