"""Rows on their way to a score, and who waits for them."""

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import msgspec
import pyarrow as pa
import trio

from engine.errors import TrellisError
from engine.request_context import REQUEST_ID
from engine.tracing import current_trace_id

VersionKey = tuple[str, int]
"""A model's name and a version of it."""


class Score(msgspec.Struct, frozen=True, gc=False):
    """What a version says of one row.

    `probabilities` belong to `classes`, in order; both are empty for regression, as is `label`.
    """

    label: str
    score: float
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


class Asker(Protocol):
    """Wants scores of rows."""

    @property
    def request_id(self) -> str:
        """The call for which, as the log has it; empty if there is none."""

    @property
    def trace_id(self) -> str:
        """The trace that the call is part of; empty if it is not recorded."""

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits any more."""

    def take(self, position: int, score: Score) -> None:
        """Take the score of a row."""

    def fail(self, error: TrellisError) -> None:
        """Take note that a row will have none."""


class Row:
    """A row of features, in the order of its version's; scored once, however often it is tried."""

    __slots__ = (
        "asker",
        "attempts",
        "done",
        "handed_s",
        "out",
        "position",
        "queued_s",
        "values",
    )

    def __init__(
        self, values: tuple[Any, ...], asker: Asker, position: int, queued_s: float
    ) -> None:
        self.values = values
        self.asker = asker
        self.position = position
        self.queued_s = queued_s
        self.handed_s = queued_s
        """When it was last given to a worker; before that, when it was queued."""
        self.attempts = 0
        """How often it was lost with a worker, or with an error."""
        self.out = 0
        """In how many batches it is, under way."""
        self.done = False

    @property
    def is_settled(self) -> bool:
        """Whether nobody needs its score any more."""
        return self.done or self.asker.is_gone


class Request:
    """Rows of one caller, who waits for all of them. Used from the Trio thread.

    Made within the caller's call, which it is known by.
    """

    __slots__ = ("_ended", "_error", "_left", "is_gone", "request_id", "scores", "trace_id")

    def __init__(self, rows: int) -> None:
        self.request_id = REQUEST_ID.get()
        self.trace_id = current_trace_id()
        self.scores: list[Score | None] = [None] * rows
        self.is_gone = False
        self._left = rows
        self._error: TrellisError | None = None
        self._ended = trio.Event()

    def take(self, position: int, score: Score) -> None:
        """Take the score of a row; wake the caller with the last one."""
        self.scores[position] = score
        self._left -= 1
        if not self._left:
            self._ended.set()

    def fail(self, error: TrellisError) -> None:
        """Wake the caller with an error; the other rows are of no use any more."""
        self._error = error
        self.is_gone = True
        self._ended.set()

    async def wait(self) -> Sequence[Score]:
        """Return the scores, in the order of the rows.

        Raises:
          TrellisError: what a row has failed with.
        Cancellation: rows that are not under way are dropped.
        """
        try:
            await self._ended.wait()
        finally:
            self.is_gone = True
        if self._error is not None:
            raise self._error
        return [score for score in self.scores if score is not None]


@attrs.frozen(eq=False)
class VersionRows:
    """What rows of a version look like."""

    key: VersionKey
    schema: pa.Schema
    """A column a feature, in order."""
