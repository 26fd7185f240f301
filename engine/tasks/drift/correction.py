"""Correction for many tests at once."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected so that, over all of them, one falls below alpha by chance with
    a probability of at most alpha.

    The k-th smallest of n is multiplied by n - k + 1 and is not below those before it (S. Holm, "A
    simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979), 65-70). It needs no independence, which features do not have.

    Args:
      p_values: of tests in any order, which the result keeps.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
