"""Messages as broken producers send them, one kind for each way the intake must refuse."""

from collections.abc import Callable
from random import Random
from typing import Final

_KINDS: Final[tuple[Callable[[int], bytes], ...]] = (
    lambda user_id: b"",
    lambda user_id: b"hello",
    lambda user_id: b'{"user_id": %d, "action": "vi' % user_id,
    lambda user_id: b'{"user_id": %d, "action": "\xff\xfe", "timestamp": 1}' % user_id,
    lambda user_id: b'[%d, "view"]' % user_id,
    lambda user_id: b'{"action": "view", "timestamp": "2025-01-01T00:00:00Z"}',
    lambda user_id: b'{"user_id": "u%d", "action": "view", "timestamp": 1735689600}' % user_id,
    lambda user_id: b'{"user_id": %d, "timestamp": "2025-01-01T00:00:00Z"}' % user_id,
    lambda user_id: b'{"user_id": %d, "action": "", "timestamp": 1735689600}' % user_id,
    lambda user_id: b'{"user_id": %d, "action": "view", "timestamp": "yesterday"}' % user_id,
    lambda user_id: (
        b'{"user_id": %d, "action": "view", "timestamp": "9999-01-01T00:00:00Z"}' % user_id
    ),
    lambda user_id: (
        b'{"user_id": %d, "action": "purchase", "timestamp": 1735689600, "value": NaN}' % user_id
    ),
)


class MalformedMessages:
    """A seeded trickle of malformed messages.

    It draws from a sequence of its own: the events beside it stay the same at any rate.
    """

    def __init__(self, *, seed: int, share: int, rate: float) -> None:
        self._random = Random(f"malformed/{seed}/{share}")  # noqa: S311  play, not secrets
        self._rate = rate

    def next_message(self, user_id: int) -> bytes | None:
        """Return a malformed message to send after an event of this user, or most often None."""
        if self._random.random() >= self._rate:
            return None
        return self._random.choice(_KINDS)(user_id)
