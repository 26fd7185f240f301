"""A bar of bytes on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def show_bytes(label: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many more bytes are done. Standard output stays free for results.

    Args:
      total_bytes: how many there are; None if that is not known, and nothing is shown.
    """
    if total_bytes is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total_bytes, label=label, file=sys.stderr) as bar:
        yield bar.update
