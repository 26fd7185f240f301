"""Errors of a nursery that its user does not see."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def raising_single_errors() -> Iterator[None]:
    """Raise what is alone in its group as it is: callers of a channel know of no nursery in it."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        try:
            raise error from None
        finally:
            del error  # or the error holds this frame, and it the error
