"""When to give a server up that runs and does not answer: a decision without clock or process."""

from typing import Final

_LEAST_UNANSWERED: Final = 2
"""After a pause of the whole machine, or of the engine, everything seems late, once."""


class Silence:
    """What has come of asking one server, again and again, whether it is there."""

    def __init__(self, longest_s: float, now_s: float) -> None:
        """Begin with an answer."""
        self._longest_s = longest_s
        self._answered_s = now_s
        self._unanswered = 0

    def record_answer(self, now_s: float) -> None:
        """It has answered."""
        self._answered_s = now_s
        self._unanswered = 0

    def record_failure(self, now_s: float) -> float | None:
        """It has not; return for how long, if that is too long."""
        self._unanswered += 1
        silent_s = now_s - self._answered_s
        too_long = silent_s >= self._longest_s and self._unanswered >= _LEAST_UNANSWERED
        return silent_s if too_long else None
