"""How long ago something was, whatever becomes of the machine's clock."""

import trio

from engine.clock import read_clock_us

_SECOND_US = 1_000_000


def to_monotonic_s(at_us: int) -> float:
    """Return a moment that was written down on the clock that nobody sets, `trio.current_time()`.

    What lies in the future, since the machine's clock was set back, counts as now: what rests until
    then would rest for as long as the clock was wrong.

    Args:
      at_us: microseconds UTC, by the machine's clock.
    """
    return trio.current_time() - max(0, read_clock_us() - at_us) / _SECOND_US


def age_s(at_s: float | None) -> float | None:
    """Return how long ago a moment of `trio.current_time()` was; None if there was none."""
    return None if at_s is None else trio.current_time() - at_s
