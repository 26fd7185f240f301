"""What payloads and results of jobs may hold, so that whoever reads them can. Pure."""

import math
from typing import Any, Final

MOST_LEVELS: Final = 100
"""Of objects and arrays in each other. JSON is read and written by recursion, on top of whatever
stack its reader has: what one process has just been able to write, another may not be able to read.
"""
_Place = tuple["_Place", str] | None
"""Where a value stands: the place of what holds it, and its name there."""


class NotPlainError(ValueError):
    """A value is nested too deep, or holds a number that JSON does not have."""


def check_plain(value: Any) -> None:
    """Check what JSON's encoder takes, and would not write as it is, or nobody could read.

    Args:
      value: of dicts, lists, tuples and what these may hold in JSON; without cycles.
    Raises:
      NotPlainError: it has more than `MOST_LEVELS`, or NaN or an infinity. Says where.
    """
    waiting: list[tuple[Any, int, _Place]] = [(value, 0, None)]
    while waiting:
        found, above, place = waiting.pop()
        if isinstance(found, float):
            if not math.isfinite(found):
                raise NotPlainError(f"{_show(place)} is {found}, which JSON does not have")
        elif isinstance(found, dict | list | tuple):
            if above == MOST_LEVELS:
                raise NotPlainError(f"it is nested deeper than {MOST_LEVELS} levels")
            inside = (
                ((f".{key}", one) for key, one in found.items())
                if isinstance(found, dict)
                else ((f"[{number}]", one) for number, one in enumerate(found))
            )
            waiting += [(one, above + 1, (place, name)) for name, one in inside]


def _show(place: _Place) -> str:
    names = []
    while place is not None:
        place, name = place
        names.append(name)
    return "".join(reversed(names)).removeprefix(".") or "it"
