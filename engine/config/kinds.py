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

from engine.config.mismatch import MismatchError, in_quotes, shorten, show
from engine.config.secrets import Secret
from engine.config.units import (
    format_duration,
    format_size,
    parse_duration_s,
    parse_size_bytes,
)

# Other characters cannot be in a header; longer ones leave too little room for the others.
_TOKEN = re.compile(r"[!-~]{1,4096}")


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


@attrs.frozen
class Integer:
    """A whole number within bounds."""

    minimum: int
    maximum: int
    reads_text = False

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.minimum} to {self.maximum}"

    def parse(self, raw: Any) -> int:
        if type(raw) is not int or not self.minimum <= raw <= self.maximum:
            raise MismatchError(show(raw), self.allowed)
        return raw


@attrs.frozen
class Number:
    """A finite number within bounds."""

    minimum: float
    maximum: float
    reads_text = False

    @property
    def allowed(self) -> str:
        return f"a number from {self.minimum:g} to {self.maximum:g}"

    def parse(self, raw: Any) -> float:
        if type(raw) not in (int, float) or not self.minimum <= raw <= self.maximum:
            raise MismatchError(show(raw), self.allowed)
        return float(raw)


@attrs.frozen
class Duration:
    """A length of time, in seconds: a plain number, or a number with a unit."""

    minimum_s: float
    maximum_s: float
    reads_text = False

    @property
    def allowed(self) -> str:
        low, high = format_duration(self.minimum_s), format_duration(self.maximum_s)
        return f"a duration such as 500ms, 90s, 5m, 24h or 30d, from {low} to {high}"

    def parse(self, raw: Any) -> float:
        if isinstance(raw, str):
            seconds = parse_duration_s(raw)
        elif type(raw) in (int, float):
            seconds = raw
        else:
            seconds = None
        if seconds is None or not self.minimum_s <= seconds <= self.maximum_s:
            raise MismatchError(show(raw), self.allowed)
        return float(seconds)


@attrs.frozen
class WholeSeconds:
    """A length of time in whole seconds, always written with its unit."""

    minimum_s: int
    maximum_s: int
    reads_text = False

    @property
    def allowed(self) -> str:
        low, high = format_duration(self.minimum_s), format_duration(self.maximum_s)
        return f"a duration in whole seconds such as 90s, 5m, 24h or 30d, from {low} to {high}"

    def parse(self, raw: Any) -> int:
        seconds = parse_duration_s(raw) if isinstance(raw, str) else None
        if (
            seconds is None
            or not self.minimum_s <= seconds <= self.maximum_s
            or seconds != math.floor(seconds)
        ):
            raise MismatchError(show(raw), self.allowed)
        return int(seconds)


@attrs.frozen
class Size:
    """A number of bytes: a plain number, or a number with a unit."""

    minimum_bytes: int
    maximum_bytes: int
    reads_text = False

    @property
    def allowed(self) -> str:
        low, high = format_size(self.minimum_bytes), format_size(self.maximum_bytes)
        return f"a size such as 64KiB, 256MB or 1GiB, from {low} to {high}"

    def parse(self, raw: Any) -> int:
        if isinstance(raw, str):
            size = parse_size_bytes(raw)
        elif type(raw) is int:
            size = raw
        else:
            size = None
        if size is None or not self.minimum_bytes <= size <= self.maximum_bytes:
            raise MismatchError(show(raw), self.allowed)
        return size


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


@attrs.frozen
class Conditions:
    """Which events count: `{action: click}` or `{action: [click, cart]}`."""

    reads_text = False
    allowed = "action with one action or a list of different ones, 1 to 64 characters each"

    def parse(self, raw: Any) -> dict[str, tuple[str, ...]]:
        if not isinstance(raw, dict):
            raise MismatchError(show(raw), self.allowed)
        if set(raw) != {"action"}:
            keys = ", ".join(sorted(raw)) or "nothing"
            raise MismatchError(f"conditions on {shorten(keys)}", self.allowed)
        actions = raw["action"] if isinstance(raw["action"], list) else [raw["action"]]
        for action in actions:
            if not isinstance(action, str) or not 1 <= len(action) <= 64:
                raise MismatchError(show(action), self.allowed)
        if not actions or len(set(actions)) < len(actions):
            raise MismatchError("an empty list or an action twice", self.allowed)
        return {"action": tuple(actions)}
