"""Which calls begin and which are shed, so that those accepted end in time.

Work that is queued without bound makes every caller wait and fail; work refused early costs a
refused caller a moment and nobody else anything. Two signs of overload: more calls under way than
the server may hold, and a scheduler that comes around late, since then the work of calls that
never suspend has piled up in front of it.
"""

from collections import deque
from typing import Final

import attrs
from purerpc import Status, StatusCode

# One late turn is a large message or a collection of garbage; so many in a row are overload.
_LATE_TURNS: Final = 5


@attrs.frozen(kw_only=True)
class AdmissionLimits:
    """When to shed. `scheduler_lag_s`: how late the event loop may be, turn after turn."""

    calls_max: int = 10_000
    scheduler_lag_s: float = 0.1
    retry_after_s: float = 1.0


class Admission:
    """Counts the calls of a server and refuses those that it could not serve in time.

    Paths in `exempt` are always admitted: probes must tell overload from death.
    """

    def __init__(self, limits: AdmissionLimits, exempt: frozenset[str] = frozenset()) -> None:
        self._limits = limits
        self._exempt = exempt
        self._calls = 0
        self._lags: deque[float] = deque([0.0], maxlen=_LATE_TURNS)
        self._lagging = False

    @property
    def calls(self) -> int:
        """Calls under way."""
        return self._calls

    def note_lag(self, lag_s: float) -> None:
        """Tell how late the scheduler was; measured again and again."""
        self._lags.append(lag_s)
        self._lagging = min(self._lags) > self._limits.scheduler_lag_s

    def refusal(self, path: str) -> Status | None:
        """Return what to refuse a new call with, or None to admit it."""
        if self._calls < self._limits.calls_max and not self._lagging:
            return None
        if path in self._exempt:
            return None
        return Status(
            StatusCode.RESOURCE_EXHAUSTED,
            f"the server is overloaded; retry after {self._limits.retry_after_s:g} s",
        )

    def count(self) -> None:
        """A call begins."""
        self._calls += 1

    def forget(self, calls: int) -> None:
        """Calls have ended."""
        self._calls -= calls
