"""What a worker needs of its host before it exists."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from engine.workers.orphans import remove_folder
from engine.workers.page import PageReader


@attrs.frozen
class WorkerResources:
    """The host's ends of pipes and page, and the folder; for the worker, `handed_over`."""

    folder: Path
    output_fd: int
    stacks_fd: int
    page: PageReader
    handed_over: tuple[int, int, int]


@contextmanager
def open_resources(folder: Path) -> Iterator[WorkerResources]:
    """Make a worker's resources; on leaving, the caller keeps the host's side of them.

    What was handed over is closed here in any case; after an exception the rest is, too, and the
    folder removed.

    Raises:
      OSError: the system refuses one of them.
    """
    with ExitStack() as theirs, ExitStack() as ours:
        folder.mkdir(mode=0o700)
        ours.callback(remove_folder, folder)
        page = PageReader()
        theirs.callback(page.close_fd)
        ours.callback(page.close)
        output_fd, their_output_fd = os.pipe()
        theirs.callback(os.close, their_output_fd)
        ours.callback(os.close, output_fd)
        # Neither end may block: a worker would hang in the handler of the signal.
        stacks_fd, their_stacks_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        theirs.callback(os.close, their_stacks_fd)
        ours.callback(os.close, stacks_fd)
        handed_over = (their_output_fd, their_stacks_fd, page.fd)
        yield WorkerResources(folder, output_fd, stacks_fd, page, handed_over)
        ours.pop_all()
