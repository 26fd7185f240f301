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
    DRAINING = "draining"
    """As LEAVING, and no other will follow: the slot is drained."""
    DRAINED = "drained"
    """Without a worker until it is resumed: somebody has asked for that."""

    @property
    def is_drained(self) -> bool:
        """Whether no more jobs are taken until the slot is resumed."""
        return self in {SlotState.DRAINING, SlotState.DRAINED}

    @property
    def is_manned(self) -> bool:
        """Whether there is a worker, or one is on its way, and others follow it."""
        return self in {
            SlotState.STARTING,
            SlotState.IDLE,
            SlotState.RUNNING,
            SlotState.LEAVING,
        }


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
