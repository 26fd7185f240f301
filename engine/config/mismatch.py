"""How a value that does not fit is spoken of, without ever quoting a credential."""

import datetime
import re
from typing import Any


class MismatchError(ValueError):
    """A value is not of its kind. `found` is fit to be shown: it never quotes a secret."""

    def __init__(self, found: str, allowed: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(f"found {found}; allowed: {allowed}")
        self.found = found
        self.allowed = allowed
        self.candidates = candidates


# Signs that a person has put a credential where none belongs; such text is not repeated.
_CREDENTIAL = re.compile(
    r"@|password|passwd|secret|token|accountkey|sharedaccess|[?&;]sig=", re.IGNORECASE
)


def show(raw: Any) -> str:
    """Return a short description of a YAML value for a message, never with a credential in it."""
    if raw is None:
        return "nothing"
    if isinstance(raw, bool):
        return f"the boolean {str(raw).lower()}"
    if isinstance(raw, (int, float)):
        return f"the number {shorten(_number_text(raw))}"
    if isinstance(raw, (datetime.date, datetime.datetime)):
        return f"the date {raw.isoformat()}"
    if isinstance(raw, dict):
        return "a mapping"
    if isinstance(raw, (list, tuple)):
        return "a list"
    if _CREDENTIAL.search(raw):
        return "text that may hold a credential (not shown)"
    return f"the text {shorten(repr(raw))}"


def in_quotes(raw: Any, allowed: str) -> str:
    """Add the way out when YAML reads what was meant as text (`no`, `2024-01-01`) otherwise."""
    if isinstance(raw, (bool, int, float, datetime.date)):
        return f"{allowed}; text that YAML reads otherwise goes in quotes"
    return allowed


def _number_text(number: float) -> str:
    # Python refuses to print integers of more than 4300 digits.
    if isinstance(number, int) and number.bit_length() > 128:
        return f"of {number.bit_length()} bits"
    return str(number)


def shorten(text: str, width: int = 60) -> str:
    """Return the text, cut to `width` characters."""
    return text if len(text) <= width else text[: width - 3] + "..."
