"""The states of a job, and why an attempt at one ended."""

import enum


class JobState(enum.StrEnum):
    """Where a job stands. Stable: stored in the data file and sent to clients."""

    QUEUED = "QUEUED"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    DEAD = "DEAD"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.DEAD})


class Cause(enum.StrEnum):
    """Why an attempt ended. Stable: stored in the data file and sent to clients."""

    COMPLETED = "completed"
    ERROR = "error"
    DIED = "died"
    SILENT = "silent"
    STALLED = "stalled"
    MEMORY = "memory"
    CANCELLED = "cancelled"
    SHUTDOWN = "shutdown"
    RECYCLED = "recycled"
    ENGINE_LOST = "engine_lost"
    HOST_LOST = "host_lost"
    OUT_OF_REACH = "out_of_reach"
    START_FAILED = "start_failed"
