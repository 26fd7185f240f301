"""The jobs' clock: dates from the machine, steps from none."""

import trio

from engine.clock import read_clock_us


class JobClock:
    """Microseconds since 1970, taken once from the machine's clock and counted on from there.

    A step of the machine's clock neither makes delayed jobs due nor keeps them waiting. Used from
    the Trio thread only.
    """

    def __init__(self) -> None:
        self._start_us = read_clock_us()
        self._start_s = trio.current_time()

    def now_us(self) -> int:
        return self._start_us + self.elapsed_us()

    def elapsed_us(self) -> int:
        """Return the microseconds since the clock was made."""
        return round((trio.current_time() - self._start_s) * 1e6)

    def seconds_until(self, time_us: int) -> float:
        """Return how long it is until a time; 0 if it has passed."""
        return max(0.0, (time_us - self.now_us()) / 1e6)
