"""Arithmetic that gives the same bits in Python and in SQL, in any order of events.

Sums are kept as integers of 1e-6 units: adding floats depends on the order, adding integers does
not. `aggregate_sql` holds the same rules for DuckDB.
"""

_MICROS_A_UNIT = 1_000_000
MICROS_LIMIT = 2**63 - 1
_MICROS_LIMIT_AS_FLOAT = 2.0**63


def to_micros(value: float) -> int:
    """Return a finite value in units of 1e-6, rounded half to even and clamped to 64 bits."""
    scaled = value * 1e6
    if scaled >= _MICROS_LIMIT_AS_FLOAT:
        return MICROS_LIMIT
    if scaled <= -_MICROS_LIMIT_AS_FLOAT:
        return -MICROS_LIMIT
    return round(scaled)


def from_micros(total: int) -> float:
    """Return a sum of micro units as a float.

    A 64-bit integer becomes a double by one rounding wherever it is done; larger ones do not. Past
    64 bits, where a double has no room for millionths anyway, only whole units count, and past 64
    bits of those they are clamped.
    """
    if -MICROS_LIMIT <= total <= MICROS_LIMIT:
        return float(total) / 1e6
    whole = float(min(abs(total) // _MICROS_A_UNIT, MICROS_LIMIT))
    return whole if total > 0 else -whole


def seconds_between(earlier_us: int, later_us: int) -> float:
    """Return the time from one moment to another in seconds."""
    return float(later_us - earlier_us) / 1e6
