"""Arithmetic that gives the same bits in Python and in SQL, in any order of events.

Sums are kept as integers of 1e-6 units: adding floats depends on the order, adding integers does
not. `aggregate_sql` holds the same rules for DuckDB.
"""

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
    """Return a sum of micro units as a float; sums past 64 bits are clamped first."""
    return float(max(-MICROS_LIMIT, min(MICROS_LIMIT, total))) / 1e6


def seconds_between(earlier_us: int, later_us: int) -> float:
    """Return the time from one moment to another in seconds."""
    return float(later_us - earlier_us) / 1e6
