"""Tables for people, and for pipes."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.logs import escape_controls

_GAP: Final = "  "


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows to standard output: fitted to a terminal, else one line a row, never cut.

    Args:
      columns: headings.
      rows: cells in the order of the headings; None is an empty cell.
    """
    cells = [["" if cell is None else escape_controls(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _print_plain([list(columns), *cells])
        return
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        # Text, not a string: what was stored by others must not be read as markup.
        table.add_row(*map(Text, row))
    Console().print(table)


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(_GAP.join(padded).rstrip())
