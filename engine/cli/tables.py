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
_LEAST_WIDTH: Final = 9
"""Of a column with more in it, characters; an id is broken into three lines then."""


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
    console = Console()
    if _is_too_narrow([columns, *cells], console.width):
        _print_blocks(console, columns, cells)
        return
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        # Text, not a string: what was stored by others must not be read as markup.
        table.add_row(*map(Text, row))
    console.print(table)


def _is_too_narrow(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Tell whether columns would be so narrow that nobody could read what is in them."""
    widths = [min(max(map(len, column)), _LEAST_WIDTH) for column in zip(*rows, strict=True)]
    return sum(widths) + len(_GAP) * (len(widths) - 1) > width


def _print_blocks(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write each row as a block of lines, one a cell."""
    for number, row in enumerate(rows):
        if number:
            console.print()
        block = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
        block.add_column(style="bold")
        block.add_column(overflow="fold")
        for heading, cell in zip(columns, row, strict=True):
            if cell:
                block.add_row(heading, Text(cell))
        console.print(block)


def _print_plain(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(_GAP.join(padded).rstrip())
