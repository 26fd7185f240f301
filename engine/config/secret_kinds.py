"""Kinds of settings that are never shown, not even when they are wrong."""

import re
from typing import Any

import attrs

from engine.config.mismatch import MismatchError
from engine.config.secrets import Secret

# Other characters cannot be in a header; longer ones leave too little room for the others.
_TOKEN = re.compile(r"[!-~]{1,4096}")


@attrs.frozen
class SecretText:
    """Text that is never shown, not even when it is wrong."""

    reads_text = True
    allowed = "text of 1 to 8192 characters without control characters (a secret, never shown)"

    def parse(self, raw: Any) -> Secret:
        if not isinstance(raw, str):
            raise MismatchError("a value of the wrong type", self.allowed)
        if not 1 <= len(raw) <= 8192 or not raw.isprintable():
            raise MismatchError("text that does not fit", self.allowed)
        return Secret(raw)


@attrs.frozen
class SecretToken:
    """What travels in an `authorization` header, and in a file of one line."""

    reads_text = True
    allowed = (
        "1 to 4096 letters, digits and ASCII punctuation without blanks (a secret, never shown)"
    )

    def parse(self, raw: Any) -> Secret:
        if not isinstance(raw, str):
            raise MismatchError("a value of the wrong type", self.allowed)
        if not _TOKEN.fullmatch(raw):
            raise MismatchError("text that does not fit", self.allowed)
        return Secret(raw)


@attrs.frozen
class SecretUrl:
    """A URL that may hold credentials and is therefore never shown."""

    schemes: tuple[str, ...]
    reads_text = True

    @property
    def allowed(self) -> str:
        starts = ", ".join(f"{scheme}://" for scheme in self.schemes)
        return f"a URL that starts with {starts} (a secret, never shown)"

    def parse(self, raw: Any) -> Secret:
        if not isinstance(raw, str):
            raise MismatchError("a value of the wrong type", self.allowed)
        scheme, separator, rest = raw.partition("://")
        if not separator or scheme not in self.schemes or not rest or len(raw) > 8192:
            raise MismatchError("a URL of another form", self.allowed)
        if not raw.isprintable() or " " in raw:
            raise MismatchError("a URL with a blank or a control character", self.allowed)
        return Secret(raw)
