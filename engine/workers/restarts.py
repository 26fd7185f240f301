"""How soon a slot whose worker failed gets another."""

from collections import deque
from typing import Final

import attrs

_FIRST_DELAY_S: Final = 0.1


@attrs.frozen
class Pause:
    """How long to wait; `parked` if it is because there were too many failures."""

    delay_s: float
    parked: bool


class Restarts:
    """The failures of one slot. Pure: it is told what time it is.

    The first restart is immediate, those after it wait twice as long each. After more than
    `intensity` failures within `period_s` the slot is parked: it is tried again every `park_s`, and
    is as before once old failures are further back than `period_s`.
    """

    def __init__(
        self, *, intensity: int, period_s: float, backoff_max_s: float, park_s: float
    ) -> None:
        """Begin without failures."""
        self._intensity = intensity
        self._period_s = period_s
        self._backoff_max_s = backoff_max_s
        self._park_s = park_s
        # No more are needed to know that there are too many.
        self._failed_s: deque[float] = deque(maxlen=intensity + 1)

    def on_failure(self, now_s: float) -> Pause:
        """Take a failure; return how long to wait."""
        self._failed_s.append(now_s)
        while self._failed_s[0] <= now_s - self._period_s:
            self._failed_s.popleft()
        failures = len(self._failed_s)
        if failures > self._intensity:
            return Pause(self._park_s, parked=True)
        if failures == 1:
            return Pause(0.0, parked=False)
        # The exponent is bounded, as a float is not big enough for a large intensity.
        delay_s = _FIRST_DELAY_S * 2.0 ** min(failures - 2, 32)
        return Pause(min(delay_s, self._backoff_max_s), parked=False)
