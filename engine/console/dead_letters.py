"""Refused messages as the Console shows them, times in microseconds, UTC. Pure."""

from typing import Final

import msgspec

from engine.errors import InvalidArgumentError
from engine.intake.dead_letters import DeadLetter as StoredDeadLetter

_TIME_DIGITS: Final = 17
"""Of microseconds since 1970, until the year 5138."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was refused."""

    dead_letter_id: str
    received_at_us: int
    reason: str
    detail: str
    payload: str
    payload_size_bytes: int
    replayed_at_us: int | None


class Reason(msgspec.Struct, frozen=True):
    """Why messages were refused, and how many for that."""

    reason: str
    letters: int
    latest_us: int


class DeadLetterList(msgspec.Struct, frozen=True):
    """Some refused messages, the latest first."""

    letters: tuple[DeadLetter, ...]
    pending: int
    """How many there are in all."""
    reasons: tuple[Reason, ...]
    """Of all of them, the most frequent first."""
    next_before: str
    """What to ask for to get those before; empty: there are none."""


def show_dead_letter(letter: StoredDeadLetter) -> DeadLetter:
    """Return a refused message; bytes that are no text are escaped."""
    return DeadLetter(
        letter.dead_letter_id,
        letter.received_us,
        letter.reason,
        letter.detail,
        (letter.payload or b"").decode("utf-8", "backslashreplace"),
        letter.payload_size_bytes,
        letter.replayed_us,
    )


def format_place(letter: StoredDeadLetter) -> str:
    """Return what to ask for to get those before a message."""
    return f"{letter.received_us}/{letter.dead_letter_id}"


def read_place(text: str) -> tuple[int, str]:
    """Return when the message of a place was received, and its id.

    Raises: InvalidArgumentError: it is no place.
    """
    received, _, dead_letter_id = text.partition("/")
    if not (received.isascii() and received.isdigit() and len(received) <= _TIME_DIGITS):
        raise InvalidArgumentError("before", "is not the place of a message")
    return int(received), dead_letter_id
