"""What a worker says to the engine, apart from how it is sent."""

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from engine.tasks.errors import OutOfReachError
from engine.tasks.hand import Hand, Job, Outcome
from engine.tasks.model_data import ModelData
from engine.tasks.progress import ProgressView


class Order(enum.Enum):
    """What the engine wants of a worker."""

    CONTINUE = "continue"
    CANCEL_JOB = "cancel_job"
    LEAVE = "leave"
    """After the job in hand, for a fresh process or for none."""
    DIE = "die"
    """At once: it was given up, and its jobs are somebody else's."""


class RejectedRow(Protocol):
    """A row of an upload that is not taken."""

    @property
    def row(self) -> int:
        """Its place in the file, from 1."""

    @property
    def column(self) -> str:
        """The column at fault, empty where it is the whole row."""

    @property
    def reason(self) -> str:
        """A stable short code."""

    @property
    def detail(self) -> str:
        """What is wrong."""

    @property
    def excerpt(self) -> str:
        """What was found, shortened."""


class RowsPart(Protocol):
    """Rows of an upload that stand together, told apart."""

    @property
    def rows(self) -> Any:
        """Those that are taken: an Arrow record batch, of one schema in all parts."""

    @property
    def rejects(self) -> Sequence[RejectedRow]:
        """The others."""


class EngineUnreachableError(Exception):
    """The engine did not answer; it may yet."""


class ConnectionLostError(EngineUnreachableError, OutOfReachError):
    """The connection broke, or the engine could not answer for now."""


class GivenUpError(Exception):
    """The engine does not count this worker among its own (any more)."""


class RefusedError(Exception):
    """The engine answered with an error that trying again would not mend."""


@attrs.frozen
class Report:
    """What a worker reports of itself. `counters` are sums since it began."""

    progress: ProgressView
    memory_bytes: int | None
    jobs_done: int
    counters: Mapping[str, float]


@attrs.frozen
class Reply:
    """The engine's answer to a report; `cancelled` is the token of the job to cancel.

    `again_in_s` is when it wants the next one, if that is before the regular one.
    """

    order: Order
    cancelled: str | None = None
    again_in_s: float | None = None


class EngineLink(Protocol):
    """The engine, to one thread of a worker; another thread has another link.

    Every call may raise EngineUnreachableError, GivenUpError or RefusedError.
    """

    @property
    def models(self) -> ModelData:
        """What jobs of models exchange with it."""

    def check(self, report: Report, timeout_s: float) -> Reply:
        """Report, and be told what to do."""

    def take_jobs(self, most: int, wait_s: float) -> tuple[Sequence[Job], Order]:
        """Return jobs to do, none if there were none within `wait_s`."""

    def hand_in(self, outcomes: Sequence[Outcome]) -> None:
        """Tell how jobs ended. May be repeated: the engine takes each outcome once, and none of a
        job that is not this worker's any more."""

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Return jobs that were not begun."""

    def read_upload(self, job: Job, upload_id: str) -> Iterator[bytes]:
        """Yield the content of the file that a job is about."""

    def stage_rows(self, job: Job, upload_id: str, parts: Iterable[RowsPart]) -> None:
        """Send rows, and what was not taken, ahead of the job's outcome, which makes them count.

        Each part is sent as it is made, and all are kept when this returns. Meanwhile `parts` may
        read the upload, but make no other call.
        """

    def close(self) -> None:
        """Close the connection; the next call opens another."""


def hand_in(hand: Hand, link: EngineLink) -> None:
    """Hand in all outcomes; if that fails they are in the hand again.

    Raises:
      EngineUnreachableError, GivenUpError: they may or may not have arrived.
    """
    outcomes = hand.outcomes()
    if not outcomes:
        return
    try:
        link.hand_in(outcomes)
    except BaseException:
        hand.put(outcomes)
        raise
