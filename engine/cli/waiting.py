"""What a terminal shows while something is waited for; nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Show(Protocol):
    """Shows how far it has come."""

    def __call__(self, note: str, done: int = 0, total: int = 0) -> None:
        """Show a note, and of `total` steps how many are done; 0: nobody knows how many."""


@contextmanager
def show_waiting(what: str) -> Iterator[Show | None]:
    """Show that something is waited for, on standard error; None where nobody would see it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    # What jobs say of themselves is no markup.
    said = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), said, BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task(what, total=None)

        def show(note: str, done: int = 0, total: int = 0) -> None:
            progress.update(task, description=note or what, completed=done, total=total or None)

        yield show
