"""Which rows a model is fitted on, and which it is judged by."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.tasks.training.request import Split
from engine.tasks.training.rows import TrainingRows

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT: Final = 31
_FRACTION_BITS: Final = 53  # of a double


def split_rows(
    rows: TrainingRows, split: Split, within_s: float
) -> tuple[TrainingRows, TrainingRows]:
    """Return the rows to fit on and those to judge by.

    Args:
      within_s: how far after an observation its label reaches.
    """
    if split.by == "entity":
        tested = is_held_out(rows.keys, split.seed, split.test_share)
        return rows.take(~tested), rows.take(tested)
    fitted, tested = split_by_time(rows.times_us, split.test_share, within_s)
    return rows.take(fitted), rows.take(tested)


def split_by_time(
    times_us: NDArray[np.int64], test_share: float, within_s: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows to fit on, and which to judge by: the latest, about so large a share.

    Rows whose label reaches past the first held-out observation are in neither part: what became
    of them was not known yet when the model would have been fitted. Rows of one moment stay
    together, the whole moment being held out if a part of it must be.
    """
    if not len(times_us):
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    first_held_out = int(np.floor(len(times_us) * (1 - test_share)))
    begin_us = np.partition(times_us, first_held_out)[first_held_out]
    tested = times_us >= begin_us
    fitted = times_us <= begin_us - round(within_s * 1_000_000)
    # A label that reaches nowhere would leave rows of that very moment in both.
    return fitted & ~tested, tested


def is_held_out(keys: NDArray[np.int64], seed: int, test_share: float) -> NDArray[np.bool_]:
    """Return which entities' rows the model is judged by.

    An entity is held out if h(key XOR h(seed)) < test_share x 2^64, where h is one step of
    SplitMix64 from that state: in 64 bits without sign, x += 0x9E3779B97F4A7C15;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9; x = (x ^ x >> 27) * 0x94D049BB133111EB; x ^ x >> 31.
    Compared are the upper 53 bits, as a fraction. So the same entities are held out in every
    training with that seed, however many others there are.
    """
    [mixed_seed] = _splitmix64(np.array([seed], np.uint64))
    hashed = _splitmix64(keys.astype(np.uint64) ^ mixed_seed)
    fraction = (hashed >> np.uint64(64 - _FRACTION_BITS)).astype(np.float64) / 2.0**_FRACTION_BITS
    return np.asarray(fraction < test_share)


def _splitmix64(state: NDArray[np.uint64]) -> NDArray[Any]:
    # Multiplication and addition of unsigned arrays wrap around, which is what is meant here.
    mixed = state + np.uint64(_GOLDEN)
    for shift, factor in _MIX:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(_LAST_SHIFT))
