"""Kinds of settings that are amounts: numbers, lengths of time, numbers of bytes."""

import math
from typing import Any

import attrs

from engine.config.mismatch import MismatchError, show
from engine.config.units import format_duration, format_size, parse_duration_s, parse_size_bytes


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
