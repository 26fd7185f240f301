"""A bar of rows on a terminal, and nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def show_rows(label: str, total_rows: int) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many rows are done in all.

    There is no bar either where standard output is the same terminal: it would lie over the rows.
    """
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=total_rows, label=label, file=sys.stderr) as bar:
        yield lambda done_rows: bar.update(done_rows - bar.pos)
