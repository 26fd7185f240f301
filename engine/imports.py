"""Keeping heavy libraries out of this process."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType


class _Absence(importlib.abc.MetaPathFinder):
    """Makes modules look as if they were not installed."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is kept out of this process", name=fullname)
        return None


@contextmanager
def keep_out(*names: str) -> Iterator[None]:
    """Make imports of these top-level modules fail while the block lasts.

    pyarrow imports pandas, where it is installed, with the first array it makes: 0.3 s in which the
    event loop stands still, and 100 MB that the engine has no use for. It can do without.
    """
    absence = _Absence(frozenset(names))
    sys.meta_path.insert(0, absence)
    try:
        yield
    finally:
        sys.meta_path.remove(absence)
