"""Standard streams that are closed, full or read by nobody."""

import io
import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

from engine.errors import TrellisError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT: Final = 1
_STDERR: Final = 2


class OutputLostError(TrellisError):
    """Standard output cannot be written to."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"cannot write to standard output: {cause.strerror}")
        self.is_unread = isinstance(cause, BrokenPipeError)


class _StandardOutput(io.FileIO):
    """Tells its own failures from those of other files, which nobody can where it is used."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OutputLostError(error) from error


def open_streams() -> None:
    """Make the three standard descriptors exist, and standard output raise `OutputLostError`.

    The number of a closed one would go to the next file that is opened, and what is written to
    "standard output" would end up in it. A closed standard output stays one that cannot be written
    to, so that whoever writes is told; with standard error closed there is no one to tell.
    """
    for descriptor in range(_STDERR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number, which is this one, since those below it exist.
            os.open(os.devnull, os.O_WRONLY if descriptor == _STDERR else os.O_RDONLY)
            os.set_inheritable(descriptor, True)
    output = io.BufferedWriter(_StandardOutput(_STDOUT, "w", closefd=False))
    before = sys.stdout  # None, as `sys.stderr`, where it was closed when Python started
    sys.stdout = io.TextIOWrapper(
        output,
        encoding=None if before is None else before.encoding,
        # What the locale has no character for is spelt out, as on standard error.
        errors="backslashreplace",
        line_buffering=output.isatty(),
    )
    if sys.stderr is None:
        sys.stderr = os.fdopen(_STDERR, "w", buffering=1, closefd=False)


def discard(stream: TextIO) -> None:
    """Let a stream that cannot be written to swallow what it holds and what comes.

    Python's own flush at exit would complain again and change the exit code.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    stream.flush()


def settle_streams() -> None:
    """Get out what the standard streams hold, or drop what cannot get out; before the exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, OutputLostError):
            discard(stream)
