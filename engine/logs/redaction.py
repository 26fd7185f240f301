"""What must not be shown, masked wherever it stands."""

import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, urlsplit

from engine.logs.escaping import escape_controls

MASK = "***"

_MIN_SECRET_CHARS = 4  # masking shorter ones would shred every line and hide nothing


class Redactor:
    """Masks known secrets, whole or in the forms they take when quoted, in any text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these from now on.

        Args:
          secrets: revealed values; from a URL its password and from a connection string its keys
            are masked on their own too, as libraries print them apart.
        """
        with self._lock:
            for secret in secrets:
                for part in {secret, *_fragments(secret)}:
                    self._known.update(f for f in _spellings(part) if len(f) >= _MIN_SECRET_CHARS)
            # Longest first: a secret that contains another is masked as a whole.
            ordered = sorted(self._known, key=lambda text: (-len(text), text))
            self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def scrub(self, text: str) -> str:
        """Return the text with every known secret replaced by `***`."""
        pattern = self._pattern
        return text if pattern is None else pattern.sub(MASK, text)


def _fragments(secret: str) -> set[str]:
    found: set[str] = set()
    try:
        password = urlsplit(secret).password
    except ValueError:
        password = None
    if password:
        found |= {password, unquote(password)}
    for pair in secret.split(";"):
        name, separator, value = pair.partition("=")
        if separator and name.strip().lower().endswith(("key", "signature", "password", "token")):
            found.add(value)
            # Of a SAS token, URLs and messages repeat the signature apart from the rest.
            signatures = [p[4:] for p in value.split("&") if p.startswith("sig=")]
            found.update(signatures, map(unquote, signatures))
    return found


def _spellings(secret: str) -> set[str]:
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
        escape_controls(secret),
    }


REDACTOR = Redactor()
"""The process's one redactor: logging is global to the process, and so is what it must not say."""
