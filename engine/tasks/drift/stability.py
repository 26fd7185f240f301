"""The population stability index (PSI): how far the shares of bins have moved."""

from typing import Final

import numpy as np

from engine.tasks.feature_columns import FloatArray

LEAST_SHARE: Final = 1e-4
"""What an emptier bin counts as, so that the logarithm stays finite. Evidently and others put the
same in place of 0."""


def population_stability_index(reference: FloatArray, current: FloatArray) -> float:
    """Return the sum over all bins of (current - reference) * ln(current / reference).

    Shares below `LEAST_SHARE` count as that. Source: N. Siddiqi, "Credit Risk Scorecards", Wiley
    2006, who calls 0.1 to 0.25 a small and more a large shift. Without any it is about
    (bins - 1) * (1 / reference rows + 1 / current rows) on average (B. Yurdakul, "Statistical
    properties of population stability index", Western Michigan University 2018), so that it needs a
    test beside it where rows are few.

    Args:
      reference: a share for each bin, 0 to 1.
      current: likewise.
    """
    expected = np.maximum(reference, LEAST_SHARE)
    actual = np.maximum(current, LEAST_SHARE)
    return float(np.sum((actual - expected) * np.log(actual / expected)))
