"""A job's place in its pool: priority first, then order of acceptance, in one number.

Sorted sets are ordered by a double, which holds whole numbers up to 2**53 exactly.
"""

MOST_PRIORITY = 1_000
PRIORITY_SPAN = 2**42
"""Places of one priority: milliseconds since 1970 fit until 2109."""


def compute_place(priority: int, order_ms: int) -> int:
    """Return the place; lower comes first.

    A job that is given back keeps its place, which is before everything accepted after it.

    Args:
      priority: higher first, within plus and minus `MOST_PRIORITY`.
      order_ms: when it was accepted, or retried, milliseconds since 1970.
    """
    assert -MOST_PRIORITY <= priority <= MOST_PRIORITY
    assert 0 <= order_ms < PRIORITY_SPAN
    return order_ms - priority * PRIORITY_SPAN


def read_priority(place: int) -> int:
    """Return the priority of a place."""
    return -(place // PRIORITY_SPAN)
