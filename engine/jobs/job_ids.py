"""Job ids: ULIDs, so that ids in order are jobs in the order of acceptance."""

import secrets
from collections.abc import Callable

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80
_LENGTH = 26


class JobIds:
    """Makes ids that never go back, not even when the machine's clock does.

    Within a millisecond, and while the clock is behind an id already made, the next id is the last
    one plus one.
    """

    def __init__(self, clock_us: Callable[[], int], last: str = "") -> None:
        """Go on from `last`, the highest id that is known, if any."""
        self._clock_us = clock_us
        self._last = _decode(last) if last else 0

    def make(self) -> str:
        """Return the next id: 26 characters of Crockford's base 32."""
        at_ms = self._clock_us() // 1000
        if at_ms > self._last >> _RANDOM_BITS:
            self._last = at_ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        else:
            self._last += 1
        return _encode(self._last)


def read_order_ms(job_id: str) -> int:
    """Return the milliseconds since 1970 that an id begins with."""
    return _decode(job_id) >> _RANDOM_BITS


def is_job_id(text: str) -> bool:
    """Tell whether a text can be an id at all."""
    return len(text) == _LENGTH and text[0] < "8" and all(c in _ALPHABET for c in text)


def _encode(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


def _decode(text: str) -> int:
    number = 0
    for character in text:
        number = number << 5 | _ALPHABET.index(character)
    return number
