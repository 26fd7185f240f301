"""What is wrong with a configuration: one clear line a problem, all of them in one error."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Self

import attrs

from engine.errors import TrellisError

MAX_TEXT = 600
"""Characters of a text in a message; the longest list of allowed words fits."""


def _one_line(text: str) -> str:
    """Escape what a terminal would not print as it is, and shorten what nobody would read."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:MAX_TEXT])
    return line if len(text) <= MAX_TEXT else f"{line}..."


@attrs.frozen
class Problem:
    """One thing to put right.

    `file` is a file name of the configuration folder, `environment` or `--set`; `key` a dotted
    path, empty when the file as a whole is meant. None of the texts ever holds a secret's value.
    """

    file: str = attrs.field(converter=_one_line)
    key: str = attrs.field(converter=_one_line)
    found: str = attrs.field(converter=_one_line)
    allowed: str = attrs.field(converter=_one_line)
    nearest: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{where}:{key} found {self.found}; allowed: {self.allowed}{hint}"


class ConfigError(TrellisError):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def merge(cls, errors: Iterable["ConfigError"]) -> Self:
        """Return one error with the problems of all `errors`, in order, each once."""
        return cls(problem for error in errors for problem in error.problems)


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """Return the one of `names` that `name` is most likely a misspelling of, if any is close."""
    lowered = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1)
    return lowered[close[0]] if close else None
