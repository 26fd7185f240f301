"""What a setting may be: kinds that check a YAML value and turn it into a Python one.

A kind stands in a field's annotation (`Annotated[int, Integer(0, 65_535)]`), so that the type
checker sees an `int` and the structurer and the reference page see the limits.
"""

import datetime
import ipaddress
import math
import re
from pathlib import Path
from typing import Any, Protocol

import attrs

from engine.config.mismatch import MismatchError, in_quotes, show


class Kind(Protocol):
    """A check that is also a conversion."""

    @property
    def allowed(self) -> str:
        """What a person may write, in words."""

    @property
    def reads_text(self) -> bool:
        """Whether the plain text of an environment variable is the value, never a YAML one."""

    def parse(self, raw: Any) -> Any:
        """Return the Python value, or raise `MismatchError`."""


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@attrs.frozen
class Text:
    """One line of text that matches a pattern as a whole."""

    allowed: str
    pattern: re.Pattern[str] = attrs.field(converter=_compile)
    reads_text = True

    def parse(self, raw: Any) -> str:
        if not isinstance(raw, str):
            raise MismatchError(show(raw), in_quotes(raw, self.allowed))
        if not self.pattern.fullmatch(raw):
            raise MismatchError(show(raw), self.allowed)
        return raw


@attrs.frozen
class Address:
    """An address to bind to."""

    reads_text = True
    allowed = "an IP address, without a port"

    def parse(self, raw: Any) -> str:
        if not isinstance(raw, str):
            raise MismatchError(show(raw), in_quotes(raw, self.allowed))
        try:
            ipaddress.ip_address(raw)
        except ValueError:
            raise MismatchError(show(raw), self.allowed) from None
        return raw


@attrs.frozen
class Choice:
    """One of a few words; case does not matter."""

    values: tuple[str, ...]
    reads_text = True

    @property
    def allowed(self) -> str:
        return ", ".join(self.values)

    def parse(self, raw: Any) -> str:
        if isinstance(raw, str):
            for value in self.values:
                if value.lower() == raw.lower():
                    return value
        raise MismatchError(show(raw), in_quotes(raw, self.allowed), self.values)


@attrs.frozen
class Switch:
    """On or off."""

    reads_text = False

    @property
    def allowed(self) -> str:
        return "true or false"

    def parse(self, raw: Any) -> bool:
        if not isinstance(raw, bool):
            raise MismatchError(show(raw), self.allowed)
        return raw


@attrs.frozen
class Scalar:
    """A plain value, as parameters of a library have it."""

    reads_text = False
    allowed = "a number, true or false, null, or text of up to 200 characters"

    def parse(self, raw: Any) -> bool | int | float | str | None:
        if raw is None or isinstance(raw, bool):
            return raw
        if isinstance(raw, int | float) and math.isfinite(raw) and abs(raw) < 1e18:
            return raw
        if isinstance(raw, str) and len(raw) <= 200 and raw.isprintable():
            return raw
        raise MismatchError(show(raw), self.allowed)


@attrs.frozen
class FilePath:
    """A path; `~` is the home folder."""

    reads_text = True
    allowed = "a path"

    def parse(self, raw: Any) -> Path:
        if not isinstance(raw, str) or not raw or not raw.isprintable():
            raise MismatchError(show(raw), self.allowed)
        try:
            return Path(raw).expanduser()
        except RuntimeError:
            raise MismatchError(
                f"{show(raw)}, whose home folder is unknown", self.allowed
            ) from None


@attrs.frozen
class Instant:
    """A moment, read as UTC where no offset is written."""

    reads_text = True
    allowed = "a date or an ISO 8601 time such as 1970-01-01 or 2024-05-01T12:00:00Z"

    def parse(self, raw: Any) -> datetime.datetime:
        value = raw
        if isinstance(raw, str):
            try:
                value = datetime.datetime.fromisoformat(raw)
            except ValueError:
                raise MismatchError(show(raw), self.allowed) from None
        if isinstance(value, datetime.datetime):
            if value.tzinfo is None:
                return value.replace(tzinfo=datetime.UTC)
            try:
                return value.astimezone(datetime.UTC)
            except OverflowError:
                raise MismatchError(show(raw), self.allowed) from None
        if isinstance(value, datetime.date):
            return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
        raise MismatchError(show(raw), self.allowed)
