"""Durations and sizes as people write them."""

import re
from fractions import Fraction

_SECONDS_PER_UNIT = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86_400),
}

_BYTES_PER_UNIT = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

# Bounded digits: a number of a million digits is refused before it is computed.
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]{1,3})", re.ASCII)


def parse_duration_s(text: str) -> float | None:
    """Return the seconds in `500ms`, `90s`, `5m`, `24h` or `30d`, or None if it is none of them."""
    quantity = _parse_quantity(text, _SECONDS_PER_UNIT)
    return None if quantity is None else float(quantity)


def parse_size_bytes(text: str) -> int | None:
    """Return the bytes in `64KiB`, `256MB` or `1.5GiB`, or None if it is no whole number."""
    quantity = _parse_quantity(text, _BYTES_PER_UNIT)
    if quantity is None or quantity.denominator != 1:
        return None
    return quantity.numerator


def format_duration(seconds: float) -> str:
    """Return the shortest of the written forms, such as `5m` for 300."""
    exact = Fraction(seconds).limit_denominator(1000)
    for unit in ("d", "h", "m", "s", "ms"):
        count = exact / _SECONDS_PER_UNIT[unit]
        if count.denominator == 1 and (count != 0 or unit == "s"):
            return f"{count.numerator}{unit}"
    return f"{seconds:g}s"


def format_size(size_bytes: int) -> str:
    """Return the shortest of the written forms with a binary unit, such as `1GiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _BYTES_PER_UNIT[unit] == 0:
            return f"{size_bytes // _BYTES_PER_UNIT[unit]}{unit}"
    return f"{size_bytes}B"


def _parse_quantity(text: str, units: dict[str, Fraction] | dict[str, int]) -> Fraction | None:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        return None
    return Fraction(match[1]) * units[match[2]]
