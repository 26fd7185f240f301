"""How many jobs a worker takes at once: a decision without clock or engine."""

import collections
from typing import Final

IN_HAND_S: Final = 0.05
"""Work to take at once. Enough that asking for it costs little of it, and so little that a job
which waits behind others in one worker is not late."""

MOST: Final = 64
_REMEMBERED: Final = 32


class BatchSize:
    """Learns from the durations of the last jobs."""

    def __init__(self) -> None:
        self._durations_s: collections.deque[float] = collections.deque(maxlen=_REMEMBERED)

    def note(self, duration_s: float) -> None:
        """Take note of how long a job took."""
        self._durations_s.append(duration_s)

    def most(self) -> int:
        """Return how many jobs to ask for.

        One where nothing is known, or any of the last was long: the jobs behind it would have had
        to wait, while other workers were free.
        """
        if not self._durations_s or max(self._durations_s) > IN_HAND_S:
            return 1
        mean_s = sum(self._durations_s) / len(self._durations_s)
        return max(1, min(MOST, int(IN_HAND_S / max(mean_s, IN_HAND_S / MOST))))
