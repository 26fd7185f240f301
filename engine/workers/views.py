"""What is shown of slots and workers."""

import enum

import attrs

from engine.jobs import Cause


class SlotState(enum.StrEnum):
    """What a slot, or the worker in it, is doing. Stable: shown to clients and in metrics."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    LEAVING = "leaving"
    WAITING = "waiting"
    """To be started again."""
    PARKED = "parked"
    """As WAITING, for longer: there were too many failures."""
    STUCK = "stuck"
    """As WAITING, for longer: the last worker was killed, and the kernel holds it back."""


@attrs.frozen
class LastEnd:
    """Why the last worker of a slot ended, and when, in microseconds since 1970."""

    cause: Cause
    detail: str
    stack: str
    job_id: str
    """What it had in hand; empty: nothing."""
    ended_at_us: int


@attrs.frozen
class WorkerView:
    """A slot and the worker in it; what only a worker has is empty or None while there is none."""

    slot: str
    pool: str | None
    """None: any."""
    host: str
    worker_id: str
    pid: int | None
    state: SlotState
    job_id: str
    lease_remaining_s: float
    progress: int
    memory_bytes: int | None
    """With its children, as last looked at; None before."""
    restarts: int
    last_end: LastEnd | None
    starts_in_s: float
    """Until the slot is tried again; 0 while there is a worker, or if it never is."""
