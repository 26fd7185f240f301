"""Columns of a file that the dataset does not declare. They are not stored, but said: a misspelt
name would otherwise only show as values that are missing.
"""

from collections.abc import Iterable

from engine.intake.rejection import show
from engine.tasks.parsing.limits import MAX_NAMED_COLUMNS


class UnknownColumns:
    """The first of their names, and whether there are more."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self.are_more = False

    def add(self, names: Iterable[str]) -> None:
        """Take in names that a row or a header has beside the declared ones."""
        for name in names:
            if name in self._names:
                continue
            if len(self._names) == MAX_NAMED_COLUMNS:
                self.are_more = True
                return
            self._names[name] = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order in which they came, quoted and safe to print."""
        return tuple(show(name) for name in self._names)
