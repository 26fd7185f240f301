"""What payloads and results of jobs may hold, so that whoever reads them can. Pure."""

import math
from collections.abc import Iterable
from typing import Any, Final

MOST_LEVELS: Final = 100
"""Of objects and arrays in each other. JSON is read and written by recursion, on top of whatever
stack its reader has: what one process has just been able to write, another may not be able to read.
"""
_Place = tuple["_Place", str | int] | None
"""Where a value stands: the place of what holds it, and its name or number there."""


class NotPlainError(ValueError):
    """A value is nested too deep, or holds a number that JSON does not have."""


def check_plain(value: Any) -> None:
    """Check what JSON's encoder takes, and would not write as it is, or nobody could read.

    Args:
      value: a dict, list or tuple of what these may hold in JSON, without cycles; of anything else
        nothing is checked.
    Raises:
      NotPlainError: it has more than `MOST_LEVELS`, or NaN or an infinity. Says where.
    """
    waiting: list[tuple[Any, int, _Place]] = [(value, 0, None)]
    while waiting:
        found, above, place = waiting.pop()
        inside: Iterable[tuple[str | int, Any]] = ()
        if isinstance(found, dict):
            inside = found.items()
        elif isinstance(found, list | tuple):
            inside = enumerate(found)
        if above == MOST_LEVELS:
            raise NotPlainError(f"it is nested deeper than {MOST_LEVELS} levels")
        for name, one in inside:
            if isinstance(one, float):
                if not math.isfinite(one):
                    where = _show((place, name))
                    raise NotPlainError(f"{where} is {one}, which JSON does not have")
            elif isinstance(one, dict | list | tuple):
                waiting.append((one, above + 1, (place, name)))


def _show(place: _Place) -> str:
    names = []
    while place is not None:
        place, name = place
        names.append(f"[{name}]" if isinstance(name, int) else f".{name}")
    return "".join(reversed(names)).removeprefix(".")
