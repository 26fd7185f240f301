"""The significance of a Kolmogorov-Smirnov statistic."""

import math
import warnings
from typing import Final

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import ks_2samp, kstwo

from engine.tasks.feature_columns import FloatArray

EXACT_UP_TO: Final = 10_000
"""The p-value is exact if neither sample is larger, as with scipy's `method="auto"`."""

_CERTAIN: Final = 1e-12
"""A p-value below this is not worked out to its last digit, which takes long: nobody asks."""


def ks_p_value(statistic: float, first: FloatArray, second: FloatArray) -> float:
    """Return by what probability samples of one distribution are at least this far apart.

    It equals the p-value of `scipy.stats.ks_2samp(first, second)` (two-sided, `method="auto"`) to
    1e-12, and holds for continuous distributions; with ties the true one is smaller, so that the
    test errs on the side of no drift.

    Args:
      statistic: their distance, 0 to 1.
      first: a sample, at least one value.
      second: the other.
    """
    effective_size = len(first) * len(second) / (len(first) + len(second))
    # The inequality of Dvoretzky, Kiefer and Wolfowitz for two samples, with the constant e for
    # which it holds at all sizes: F. Wei and R. M. Dudley, "Two-sample Dvoretzky-Kiefer-Wolfowitz
    # inequalities", Statistics and Probability Letters 82 (2012), 636-644.
    bound = math.e * math.exp(-2 * effective_size * statistic**2)
    if bound < _CERTAIN:
        # The limit for samples without end; it is below the bound, too.
        return float(kolmogorov(statistic * math.sqrt(effective_size)))
    if max(len(first), len(second)) <= EXACT_UP_TO:
        return _exact_p_value(first, second)
    # The distribution for one sample of the effective size.
    return float(np.clip(kstwo.sf(statistic, round(effective_size)), 0.0, 1.0))


def _exact_p_value(first: FloatArray, second: FloatArray) -> float:
    with warnings.catch_warnings():
        # Where rounding defeats the exact method, it says so and takes the approximate one.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ks_2samp(first, second).pvalue)
