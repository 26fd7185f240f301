"""What workers say when they call, and what they are told."""

import enum
from collections.abc import Mapping

import attrs

from engine.jobs import ClaimedJob


class Order(enum.Enum):
    """What a worker is told."""

    CONTINUE = "continue"
    CANCEL_JOB = "cancel_job"
    RESTART = "restart"
    """Leave after the job in hand; another takes over."""
    DRAIN = "drain"
    """Leave after the job in hand."""


@attrs.frozen
class CheckReport:
    """What a worker says when it checks in.

    `token` is that of the job in hand, empty if there is none; `progress` then counts the calls of
    its main thread, which gets and delivers jobs.
    """

    worker_id: str
    token: str
    progress: int
    progress_total: int | None
    progress_note: str
    memory_bytes: int | None = None
    """Of its process alone."""
    jobs_done: int = 0
    """Since it began."""
    counters: Mapping[str, float] = attrs.field(factory=dict)
    """Sums since it began."""
    still_s: float = 0.0
    """How long ago `progress` has moved, by its own clock."""


@attrs.frozen
class CheckReply:
    """The answer to a check; `cancel_token` of the job to be cancelled.

    `again_in_s` is when the next check is wanted, if that is before the regular one.
    """

    order: Order
    cancel_token: str = ""
    again_in_s: float | None = None


@attrs.frozen
class TakeReply:
    """Jobs for a worker, and what else it is told."""

    jobs: tuple[ClaimedJob, ...]
    order: Order
